//! Reads a recipe from JSON so that every refusal names the field by its path.

mod check;

use crate::language::Language;
use crate::recipe::{Output, Recipe};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

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
    pub fn sentence(&self, language: Language) -> String {
        match (self, language) {
            (Self::Unknown(accepted), Language::Es) => format!("Campo desconocido; se acepta: {accepted}"),
            (Self::Unknown(accepted), Language::En) => format!("Unknown field; accepted: {accepted}"),
            (Self::Missing, Language::Es) => "Falta este campo".to_owned(),
            (Self::Missing, Language::En) => "This field is missing".to_owned(),
            (Self::Invalid(why), Language::Es) => format!("Valor no aceptado: {why}"),
            (Self::Invalid(why), Language::En) => format!("Value not accepted: {why}"),
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
        let mut value: Value =
            serde_json::from_str(json).map_err(|error| FieldError::invalid("", format!("not JSON: {error}")))?;
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
            format!("{kind}; accepted: mp4, webm, hls, audio, gif, poster, sprite"),
        )),
    }
}

/// Reads `value` as a `T`; a refusal carries the path below `at`.
fn typed<T: DeserializeOwned>(value: Value, at: &str) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let below = if path == "." { String::new() } else { path };
        let message = error.into_inner().to_string();
        field_error(at, below, &message)
    })
}

/// Tells serde's three kinds of complaint apart by their fixed beginnings.
fn field_error(at: &str, mut below: String, message: &str) -> FieldError {
    let quoted = message.split('`').nth(1).unwrap_or_default();
    let problem = if message.starts_with("unknown field") {
        let accepted = message.split_once("expected ").map_or("nothing", |(_, rest)| rest);
        FieldProblem::Unknown(accepted.trim_start_matches("one of ").replace('`', ""))
    } else if message.starts_with("missing field") {
        FieldProblem::Missing
    } else {
        FieldProblem::Invalid(message.to_owned())
    };
    if !matches!(problem, FieldProblem::Invalid(_)) && below.rsplit('.').next() != Some(quoted) {
        below = if below.is_empty() {
            quoted.to_owned()
        } else {
            format!("{below}.{quoted}")
        };
    }
    let dot = if at.is_empty() || below.is_empty() || below.starts_with('[') {
        ""
    } else {
        "."
    };
    FieldError {
        field: format!("{at}{dot}{below}"),
        problem,
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
