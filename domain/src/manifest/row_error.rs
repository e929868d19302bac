//! The error of a row, and the form in which refused values are shown.

use crate::code::Code;
use serde_json::Value;
use thiserror::Error;

/// Maximum number of characters of a refused value that are shown.
const SHOWN_CHARS: usize = 100;
/// Maximum length of the path of a field in characters. Only unknown names and paths in recipes can be longer.
const FIELD_CHARS: usize = 100;
/// Maximum length of a detail in characters.
const DETAIL_CHARS: usize = 1_000;

/// A row that is refused, with the first field that is not accepted.
///
/// The texts contain no control characters, so that any database can store them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {}: {detail}", code.as_str())]
pub struct RowError {
    /// The name of the column, or a path such as `recipe.outputs[0].kind`; empty for the whole row.
    pub field: String,
    /// The reason.
    pub code: Code,
    /// The refused value and the accepted ones, such as `"95.2"; accepted: -90 to 90`.
    pub detail: String,
}

impl RowError {
    /// The error of a field.
    #[must_use]
    pub fn new(field: &str, code: Code, detail: &str) -> Self {
        Self {
            field: readable(field, FIELD_CHARS),
            code,
            detail: readable(detail, DETAIL_CHARS),
        }
    }

    /// The error for a value; `accepted` follows it, such as `-90 to 90`.
    #[must_use]
    pub fn of_value(field: &str, code: Code, value: &Value, accepted: &str) -> Self {
        Self::new(field, code, &format!("{}; accepted: {accepted}", shown(value)))
    }
}

/// The beginning of a value as JSON. A text is cut before it is quoted, so that both quotes are shown.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => Value::String(cut(text, SHOWN_CHARS)).to_string(),
        value => cut(&value.to_string(), SHOWN_CHARS),
    }
}

/// The beginning of a text, with control characters replaced.
pub(super) fn readable(text: &str, max_chars: usize) -> String {
    cut(text, max_chars).replace(char::is_control, "\u{fffd}")
}

fn cut(text: &str, max_chars: usize) -> String {
    let mut characters = text.chars();
    let mut beginning: String = characters.by_ref().take(max_chars).collect();
    if characters.next().is_some() {
        beginning.push('…');
    }
    beginning
}
