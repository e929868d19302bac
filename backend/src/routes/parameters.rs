//! Query parameters, and their errors.

use crate::error::Refusal;
use domain::Code;

/// The value of a parameter; `None` when it is absent.
///
/// # Errors
/// `query_invalid` for a parameter that is given twice.
pub(crate) fn parameter<'a>(pairs: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = pairs.iter().filter(|(given, _)| given == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(first), Some(_)) => Err(invalid_parameter(name, first, "the parameter once")),
        (first, _) => Ok(first.map(String::as_str)),
    }
}

/// The error for a parameter with a value that is not accepted.
pub(crate) fn invalid_parameter(name: &str, value: &str, accepted: &str) -> Refusal {
    let given: String = value.chars().take(100).collect();
    Refusal::new(Code::QueryInvalid)
        .detail(format!("{name}={given}; accepted: {accepted}"))
        .field(name, Code::QueryInvalid)
}
