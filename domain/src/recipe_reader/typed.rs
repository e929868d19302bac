//! Deserializes JSON values and translates the errors of serde into [`FieldError`]s.

use super::{FROM_ZERO, FieldError, FieldProblem, pointer, truncated};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Deserializes a `T` from `value`. `at` is the path of the value in the document; paths of errors begin with it.
///
/// # Errors
/// The first field that is unknown, missing, or of another type.
pub fn typed<T: DeserializeOwned + Serialize>(value: Value, at: &str) -> Result<T, FieldError> {
    let given = value.clone();
    let parsed: T = serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let below = if path == "." { String::new() } else { path };
        serde_error(at, below, &error.into_inner().to_string(), &given)
    })?;
    let serialized = serde_json::to_value(&parsed).unwrap_or_default();
    match find_array_for_object(&given, &serialized) {
        Some(below) => Err(FieldError {
            field: joined(at, &below),
            problem: FieldProblem::Invalid("a list; accepted: an object".to_owned()),
        }),
        None => Ok(parsed),
    }
}

/// Translates an error message of serde. `at` and `below` are the path of the value; `below` may lack the last field.
/// `given` is the value at the path `at`.
///
/// `serde::de::Error` has no variants, so the kind of error is recognized by the fixed beginnings of its messages.
#[must_use]
pub fn serde_error(at: &str, mut below: String, message: &str, given: &Value) -> FieldError {
    // The path replaces the line and column.
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    let quoted = message.split('`').nth(1).unwrap_or_default();
    let problem = if message.starts_with("unknown field") {
        let accepted = message.split_once("expected ").map_or("nothing", |(_, rest)| rest);
        FieldProblem::Unknown(accepted.trim_start_matches("one of ").replace('`', ""))
    } else if message.starts_with("missing field") {
        FieldProblem::Missing
    } else {
        FieldProblem::Invalid(translate(message, given.pointer(&pointer(&below))))
    };
    if !matches!(problem, FieldProblem::Invalid(_)) && below.rsplit('.').next() != Some(quoted) {
        below = joined(&below, &truncated(quoted));
    }
    FieldError {
        field: joined(at, &below),
        problem,
    }
}

/// Appends a path to another one.
pub(super) fn joined(at: &str, below: &str) -> String {
    let dot = if at.is_empty() || below.is_empty() || below.starts_with('[') {
        ""
    } else {
        "."
    };
    format!("{at}{dot}{below}")
}

/// Returns the path of the first array that was given in place of an object.
///
/// The structs derived by serde accept an array as the fields in their order, which a client never intends. The array
/// becomes an object when the struct is serialized again, so the two values differ there.
fn find_array_for_object(given: &Value, serialized: &Value) -> Option<String> {
    match (given, serialized) {
        (Value::Array(_), Value::Object(_)) => Some(String::new()),
        (Value::Object(given), Value::Object(serialized)) => given.iter().find_map(|(name, value)| {
            let below = find_array_for_object(value, serialized.get(name)?)?;
            Some(joined(name, &below))
        }),
        (Value::Array(given), Value::Array(serialized)) => {
            let mut pairs = given.iter().zip(serialized).enumerate();
            pairs.find_map(|(index, (value, serialized))| {
                let below = find_array_for_object(value, serialized)?;
                Some(joined(&format!("[{index}]"), &below))
            })
        }
        _ => None,
    }
}

/// Translates a message such as `invalid type: null, expected u8` from Rust terms to JSON terms. `given` is the value,
/// if it is known.
fn translate(message: &str, given: Option<&Value>) -> String {
    let prefixes = [
        "invalid type: ",
        "invalid value: ",
        "invalid length ",
        "unknown variant ",
    ];
    let rest = prefixes.iter().find_map(|prefix| message.strip_prefix(prefix));
    let serde = rest.and_then(|rest| rest.rsplit_once(", expected "));
    // The message of `InvalidValue`.
    let Some((described, expected)) = serde.or_else(|| message.rsplit_once(": expected ")) else {
        return message.to_owned();
    };
    let value = match given {
        Some(Value::Array(_) | Value::Object(_)) | None => json_value(described),
        Some(value) => value.to_string(),
    };
    format!("{}; accepted: {}", truncated(&value), json_type(expected))
}

/// Translates the description of the given value.
fn json_value(given: &str) -> String {
    match given {
        "map" => "an object".to_owned(),
        "sequence" => "a list".to_owned(),
        _ if given.bytes().all(|byte| byte.is_ascii_digit()) => "a list".to_owned(),
        _ => match given.split_once(['`', '"']) {
            Some((_, value)) => value.trim_end_matches(['`', '"']).to_owned(),
            None => given.to_owned(),
        },
    }
}

/// Translates the description of the expected type.
fn json_type(expected: &str) -> String {
    match expected {
        "u8" => format!("{FROM_ZERO}{}", u8::MAX),
        "u16" => format!("{FROM_ZERO}{}", u16::MAX),
        "u32" => format!("{FROM_ZERO}{}", u32::MAX),
        "u64" | "usize" => format!("{FROM_ZERO}{}", u64::MAX),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        _ if expected.starts_with("struct ") || expected == "a map" => "an object".to_owned(),
        _ if expected.starts_with("unit") => "null".to_owned(),
        _ => expected.trim_start_matches("one of ").replace('`', ""),
    }
}
