//! Parses and checks recipes. Each error names the rejected field by its path, such as `outputs[0].video.crf`.
//!
//! *Problem.* `serde_json` reports the line and column of an error, not the field, and describes it in Rust terms. It
//! silently accepts duplicate keys and arrays in place of objects. The path of an error inside a tagged enum is lost.
//!
//! *Mechanism.* Four steps, each with errors of type [`FieldError`]:
//!
//! 1. [`json()`] parses the text into a [`Value`] and rejects duplicate keys and deep nesting.
//! 2. [`typed()`] deserializes the value with `serde_path_to_error` and translates the message of serde.
//! 3. [`Recipe::parse`] deserializes each output on its own, because `kind` is the tag of an enum.
//! 4. `check` applies the limits that the types cannot express. [`checked`] adds these limits to the errors of steps 2
//!    and 3.
//!
//! Steps 1 and 2 serve other request bodies too.

mod check;
mod json;
mod typed;

pub use json::json;
pub use typed::{serde_error, typed};

use crate::language::Language;
use crate::recipe::{Fps, Output, Recipe};
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
        checked(&self::json(json.as_bytes())?, Self::from_value)
    }

    fn from_value(mut value: Value) -> Result<Self, FieldError> {
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

/// Deserializes and checks a document with `read`. The error for a number that its type cannot hold names the number
/// that was sent and the range that the field accepts.
///
/// Deserializing such a number fails before the checks run, and only the checks know the range. To learn it, the number
/// is replaced by the largest value of its type and the document is read again. The check refuses that value with an
/// error that states the range.
///
/// # Errors
/// The first field that is not accepted.
pub fn checked<T>(sent: &Value, read: impl Fn(Value) -> Result<T, FieldError>) -> Result<T, FieldError> {
    read(sent.clone()).map_err(|error| with_range(error, sent, |document| read(document).err()))
}

/// Maximum number of values that are replaced to find a range. Limits the time for a document with many bad values.
const REPLACED_MAX: usize = 16;

fn with_range(error: FieldError, sent: &Value, read: impl Fn(Value) -> Option<FieldError>) -> FieldError {
    let (mut document, mut refused) = (sent.clone(), error.clone());
    for _ in 0..REPLACED_MAX {
        let Some(largest) = largest_of_type(&refused) else {
            break;
        };
        let Some(value) = document.pointer_mut(&pointer(&refused.field)) else {
            break;
        };
        *value = largest;
        match read(document.clone()) {
            Some(next) => refused = next,
            // The largest value of the type is accepted, so the first error states the range already.
            None => return error,
        }
    }
    let at = pointer(&refused.field);
    if let FieldProblem::Invalid(detail) = &mut refused.problem
        && let Some(value) = sent.pointer(&at)
        && let Some((described, accepted)) = detail.rsplit_once("; accepted")
    {
        let is_replaced = document.pointer(&at) != Some(value);
        let shown = match value {
            Value::Array(_) if is_replaced => "a list".to_owned(),
            Value::Object(_) if is_replaced => "an object".to_owned(),
            Value::Array(_) | Value::Object(_) => described.to_owned(),
            _ => value.to_string(),
        };
        let range = accepted.strip_prefix(": ");
        let range = range.filter(|range| is_replaced && range.starts_with(|c: char| c.is_ascii_digit()));
        let accepted = range.map_or_else(|| accepted.to_owned(), |range| format!(": a whole number from {range}"));
        *detail = format!("{}; accepted{accepted}", truncated(&shown));
    }
    refused
}

/// Returns the largest value of the type that a refused value does not fit; `None` for other errors.
fn largest_of_type(error: &FieldError) -> Option<Value> {
    let FieldProblem::Invalid(detail) = &error.problem else {
        return None;
    };
    let (_, accepted) = detail.rsplit_once("; accepted: ")?;
    if accepted == Fps::SYNTAX {
        return Some(Fps::MAX.into());
    }
    accepted.strip_prefix(FROM_ZERO)?.parse::<u64>().ok().map(Value::from)
}

/// Returns the JSON pointer (RFC 6901) of a path such as `outputs[0].video.crf`.
fn pointer(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let steps = path.replace('[', ".").replace(']', "").replace('.', "/");
    format!("/{}", steps.trim_start_matches('/'))
}

/// The beginning of the description of an unsigned integer type.
const FROM_ZERO: &str = "a whole number from 0 to ";

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
