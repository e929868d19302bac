//! Reads a recipe from JSON so that every refusal names the field by its path.

mod check;
mod json;
mod typed;

pub use json::json;
pub use typed::{complaint, typed};

use crate::language::Language;
use crate::recipe::{Output, Recipe};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

/// A field that was refused: where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path in the JSON, such as `outputs[0].video.crf`; empty for the whole.
    pub field: String,
    /// Why.
    pub problem: FieldProblem,
}

/// Why a field was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldProblem {
    /// Nobody knows this field; the accepted ones, as far as known.
    Unknown(String),
    /// It must be there.
    Missing,
    /// Its value is not accepted; the value and what is.
    Invalid(String),
}

impl FieldProblem {
    /// A stable word for machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown_field",
            Self::Missing => "missing_field",
            Self::Invalid(_) => "invalid_value",
        }
    }

    /// The sentence for people.
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

    /// The value and what is accepted, for developers.
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
    fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: FieldProblem::Invalid(why.into()),
        }
    }
}

impl Recipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// The first field that is unknown, missing or out of bounds.
    pub fn parse(json: &str) -> Result<Self, FieldError> {
        let mut value = self::json(json.as_bytes())?;
        // Outputs are read one by one: a tagged enum would lose the path below its tag.
        let raw = value.get_mut("outputs").map(Value::take);
        if let Some(object) = value.as_object_mut() {
            object.insert("outputs".to_owned(), Value::Array(Vec::new()));
        }
        let mut recipe: Self = typed(value, "")?;
        let raw = raw.ok_or_else(|| FieldError {
            field: "outputs".to_owned(),
            problem: FieldProblem::Missing,
        })?;
        let list: Vec<Value> = typed(raw, "outputs")?;
        recipe.outputs = list
            .into_iter()
            .enumerate()
            .map(|(place, value)| output(value, place))
            .collect::<Result<_, _>>()?;
        recipe.check()?;
        Ok(recipe)
    }
}

fn output(mut value: Value, place: usize) -> Result<Output, FieldError> {
    let at = format!("outputs[{place}]");
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
                brief(&kind.to_string())
            ),
        )),
    }
}

/// A value in a refusal: at most 64 characters of it.
fn brief(value: &str) -> Cow<'_, str> {
    match value.char_indices().nth(64) {
        Some((end, _)) => Cow::Owned(format!("{}…", &value[..end])),
        None => Cow::Borrowed(value),
    }
}

/// A recipe that was checked when it was stored.
///
/// # Errors
/// When the text is no recipe of this version.
pub fn stored(value: Value) -> Result<Recipe, serde_json::Error> {
    Recipe::deserialize(value)
}

#[cfg(test)]
mod tests;
