//! Reads JSON as a type of ours. What serde says of a value that does not fit becomes a path and words for people.

use super::{FieldError, FieldProblem, brief};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads `value` as a `T`; a refusal carries the path below `at`.
///
/// # Errors
/// The first field that is unknown, missing, or of another type.
pub fn typed<T: DeserializeOwned + Serialize>(value: Value, at: &str) -> Result<T, FieldError> {
    let given = value.clone();
    let read: T = serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let below = if path == "." { String::new() } else { path };
        complaint(at, below, &error.into_inner().to_string())
    })?;
    let read_back = serde_json::to_value(&read).unwrap_or_default();
    match list_for_object(&given, &read_back) {
        Some(below) => Err(FieldError {
            field: joined(at, &below),
            problem: FieldProblem::Invalid("a list; accepted: an object".to_owned()),
        }),
        None => Ok(read),
    }
}

/// What serde complains of, told apart by the fixed beginnings of its sentences.
#[must_use]
pub fn complaint(at: &str, mut below: String, message: &str) -> FieldError {
    // Where in the text it was is told by the path.
    let message = message.rsplit_once(" at line ").map_or(message, |(what, _)| what);
    let quoted = message.split('`').nth(1).unwrap_or_default();
    let problem = if message.starts_with("unknown field") {
        let accepted = message.split_once("expected ").map_or("nothing", |(_, rest)| rest);
        FieldProblem::Unknown(accepted.trim_start_matches("one of ").replace('`', ""))
    } else if message.starts_with("missing field") {
        FieldProblem::Missing
    } else {
        FieldProblem::Invalid(reworded(message))
    };
    if !matches!(problem, FieldProblem::Invalid(_)) && below.rsplit('.').next() != Some(quoted) {
        below = joined(&below, &brief(quoted));
    }
    FieldError {
        field: joined(at, &below),
        problem,
    }
}

/// A path below another one.
pub(super) fn joined(at: &str, below: &str) -> String {
    let dot = if at.is_empty() || below.is_empty() || below.starts_with('[') {
        ""
    } else {
        "."
    };
    format!("{at}{dot}{below}")
}

/// Serde reads a list as the fields of an object, in their order; nobody means that. Where one was given for the other.
fn list_for_object(given: &Value, read: &Value) -> Option<String> {
    match (given, read) {
        (Value::Array(_), Value::Object(_)) => Some(String::new()),
        (Value::Object(given), Value::Object(read)) => given
            .iter()
            .find_map(|(name, value)| Some(joined(name, &list_for_object(value, read.get(name)?)?))),
        (Value::Array(given), Value::Array(read)) => given
            .iter()
            .zip(read)
            .enumerate()
            .find_map(|(place, (value, read))| Some(joined(&format!("[{place}]"), &list_for_object(value, read)?))),
        _ => None,
    }
}

/// `invalid type: null, expected u8` without the words of the language that it is written in.
fn reworded(message: &str) -> String {
    let rest = [
        "invalid type: ",
        "invalid value: ",
        "invalid length ",
        "unknown variant ",
    ]
    .iter()
    .find_map(|beginning| message.strip_prefix(beginning));
    let Some((given, expected)) = rest.and_then(|rest| rest.split_once(", expected ")) else {
        return message.to_owned();
    };
    format!("{}; accepted: {}", brief(&value_of(given)), type_of(expected))
}

fn value_of(given: &str) -> String {
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

fn type_of(expected: &str) -> String {
    match expected {
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" | "u64" | "usize" => "a whole number from 0 on".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        _ if expected.starts_with("struct ") || expected == "a map" => "an object".to_owned(),
        _ if expected.starts_with("unit") => "null".to_owned(),
        _ => expected.trim_start_matches("one of ").replace('`', ""),
    }
}
