//! NUL characters in JSON, which Postgres cannot store.

use serde_json::{Map, Value};

/// Returns `true` if a text or a key contains NUL.
#[must_use]
pub fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => has_nul_field(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// [`has_nul`] for the fields of an object.
#[must_use]
pub fn has_nul_field(fields: &Map<String, Value>) -> bool {
    fields.iter().any(|(key, value)| key.contains('\0') || has_nul(value))
}
