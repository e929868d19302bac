//! Parses and checks recipes. Each error names the rejected field by its path, such as `outputs[0].video.crf`.
//!
//! *Problem.* `serde_json` reports the line and column of an error, not the field, and describes it in Rust terms. It
//! silently accepts duplicate keys and arrays in place of objects. The path of an error inside a tagged enum is lost.
//!
//! *Mechanism.* Four steps, each with errors of type [`FieldError`]:
//!
//! 1. [`json`] parses the text into a [`Value`] and rejects duplicate keys and deep nesting.
//! 2. [`typed`] deserializes the value with `serde_path_to_error` and translates the message of serde.
//! 3. [`Recipe::parse`] deserializes each output on its own, because `kind` is the tag of an enum.
//! 4. `check` applies the limits that the types cannot express. [`checked`] adds them to the errors of step 2 and 3.
//!
//! Steps 1 and 2 serve other request bodies too.

mod check;
mod json;
mod typed;

pub use json::json;
pub use typed::{checked, complaint, typed};

use crate::language::Language;
use crate::recipe::{Output, Recipe};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

/// A rejected field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path in the JSON, such as `outputs[0].video.crf`; empty for the whole document.
    pub field: String,
    /// The reason.
    pub problem: FieldProblem,
}

/// The reason why a field was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldProblem {
    /// There is no such field. Holds the accepted names.
    Unknown(String),
    /// A required field is absent.
    Missing,
    /// The value is not accepted. Holds the value and the accepted ones.
    Invalid(String),
}

impl FieldProblem {
    /// Returns the stable error code of the field.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown_field",
            Self::Missing => "missing_field",
            Self::Invalid(_) => "invalid_value",
        }
    }

    /// Returns the message for users.
    #[must_use]
    pub const fn sentence(&self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Unknown(_), Language::Es) => "Campo desconocido",
            (Self::Unknown(_), Language::En) => "Unknown field",
            (Self::Missing, Language::Es) => "Falta este campo",
            (Self::Missing, Language::En) => "This field is missing",
            (Self::Invalid(_), Language::Es) => "Valor no aceptado",
            (Self::Invalid(_), Language::En) => "Value not accepted",
        }
    }

    /// Returns the details for developers: the value and what is accepted.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Unknown(accepted) => Some(format!("accepted: {accepted}")),
            Self::Missing => None,
            Self::Invalid(why) => Some(why.clone()),
        }
    }
}

impl FieldError {
    fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: FieldProblem::Invalid(detail.into()),
        }
    }
}

impl Recipe {
    /// Parses and checks a recipe.
    ///
    /// # Errors
    /// The first field that is unknown, missing or not accepted.
    pub fn parse(json: &str) -> Result<Self, FieldError> {
        checked(&self::json(json.as_bytes())?, Self::read)
    }

    fn read(mut value: Value) -> Result<Self, FieldError> {
        // Outputs are deserialized one by one: serde buffers the content of a tagged enum, which loses the path.
        let outputs = value.get_mut("outputs").map(Value::take);
        if let Some(object) = value.as_object_mut() {
            object.insert("outputs".to_owned(), Value::Array(Vec::new()));
        }
        let mut recipe: Self = typed(value, "")?;
        let outputs = outputs.ok_or_else(|| FieldError {
            field: "outputs".to_owned(),
            problem: FieldProblem::Missing,
        })?;
        let outputs: Vec<Value> = typed(outputs, "outputs")?;
        recipe.outputs = outputs
            .into_iter()
            .enumerate()
            .map(|(index, value)| parse_output(value, index))
            .collect::<Result<_, _>>()?;
        recipe.check()?;
        Ok(recipe)
    }
}

fn parse_output(mut value: Value, index: usize) -> Result<Output, FieldError> {
    let at = format!("outputs[{index}]");
    let Some(object) = value.as_object_mut() else {
        return Err(FieldError::invalid(at, "accepted: an object with a kind"));
    };
    let Some(kind) = object.remove("kind") else {
        return Err(FieldError {
            field: format!("{at}.kind"),
            problem: FieldProblem::Missing,
        });
    };
    match kind.as_str() {
        Some("mp4") => typed(value, &at).map(Output::Mp4),
        Some("webm") => typed(value, &at).map(Output::Webm),
        Some("hls") => typed(value, &at).map(Output::Hls),
        Some("audio") => typed(value, &at).map(Output::Audio),
        Some("gif") => typed(value, &at).map(Output::Gif),
        Some("poster") => typed(value, &at).map(Output::Poster),
        Some("sprite") => typed(value, &at).map(Output::Sprite),
        _ => Err(FieldError::invalid(
            format!("{at}.kind"),
            format!(
                "{}; accepted: mp4, webm, hls, audio, gif, poster, sprite",
                truncated(&kind.to_string())
            ),
        )),
    }
}

/// Returns at most the first 64 characters of a value, for error messages.
fn truncated(value: &str) -> Cow<'_, str> {
    match value.char_indices().nth(64) {
        Some((end, _)) => Cow::Owned(format!("{}…", &value[..end])),
        None => Cow::Borrowed(value),
    }
}

/// Deserializes a recipe from the database without checking it again.
///
/// # Errors
/// The error of serde if the value is not a recipe of this version.
pub fn stored(value: Value) -> Result<Recipe, serde_json::Error> {
    Recipe::deserialize(value)
}

#[cfg(test)]
mod tests;
