//! Rows of facts.

use super::columns::{FactColumns, GROUPS_MAX};
use super::number::{largest, scaled};
use crate::analytics::parse_time;
use crate::code::Code;
use crate::manifest::RowError;
use crate::video;
use serde_json::Value;

/// The numbers of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The id of the row, if the dataset has a column for it.
    pub id: Option<String>,
    /// The beginning of its unit of time, in seconds since 1970-01-01 UTC.
    pub at_s: i64,
    /// The code of the region; empty without one.
    pub region: String,
    /// The words by which it is grouped, in the order of the names of the groups; empty without one.
    pub groups: [String; GROUPS_MAX],
    /// The metrics of the row by name, times ten to the power of their scales. A metric without a value is left out.
    pub values: Vec<(String, i64)>,
}

/// Reads a row of facts. `value` returns the value of a column.
///
/// # Errors
/// The first column that is not accepted.
pub fn read_fact<'a>(columns: &FactColumns, value: impl Fn(&str) -> Option<&'a Value>) -> Result<Fact, RowError> {
    let value = |column: &str| present(value(column));
    let optional = |column: Option<&String>, code| match column.and_then(|column| Some((column, value(column)?))) {
        Some((column, value)) => word(column, code, value),
        None => Ok(String::new()),
    };
    let id = optional(columns.id.as_ref(), Code::RowIdInvalid)?;
    if let Some(column) = &columns.id
        && id.is_empty()
    {
        let accepted = "1 to 100 characters in one line";
        return Err(RowError::of_value(column, Code::RowIdInvalid, &Value::Null, accepted));
    }
    let mut groups: [String; GROUPS_MAX] = Default::default();
    for (group, column) in groups.iter_mut().zip(columns.groups.values()) {
        *group = optional(Some(column), Code::GroupInvalid)?;
    }
    Ok(Fact {
        id: Some(id).filter(|id| !id.is_empty()),
        at_s: time(columns, value(&columns.time))?,
        region: optional(columns.region.as_ref(), Code::RegionInvalid)?,
        groups,
        values: values(columns, value)?,
    })
}

/// A value that is neither null nor empty: the cells of CSV that are empty, and nulls of JSON, are absent.
pub(super) fn present(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty()))
}

/// A word: a text, or a number of JSON as text.
pub(super) fn word(column: &str, code: Code, value: &Value) -> Result<String, RowError> {
    let refused = || RowError::of_value(column, code, value, "1 to 100 characters in one line");
    match value {
        Value::String(text) => video::word(text).map_err(|_| refused()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(refused()),
    }
}

fn time(columns: &FactColumns, value: Option<&Value>) -> Result<i64, RowError> {
    let null = Value::Null;
    let value = value.unwrap_or(&null);
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let at_s = parse_time(&text, columns.granularity);
    at_s.map(|at_s| columns.granularity.start(at_s)).ok_or_else(|| {
        let accepted = "a date such as 2015-01-31, a month such as 2015-01 or a year for datasets of months and years, \
            or a time of RFC 3339, from 1900 to 2200";
        RowError::of_value(&columns.time, Code::DateInvalid, value, accepted)
    })
}

fn values<'a>(
    columns: &FactColumns,
    value: impl Fn(&str) -> Option<&'a Value>,
) -> Result<Vec<(String, i64)>, RowError> {
    let mut values = Vec::new();
    for (metric, column) in &columns.metrics {
        let Some(value) = value(column) else { continue };
        let scale = columns.scale(metric);
        let read = match value {
            Value::String(text) => scaled(text, scale).ok(),
            Value::Number(number) => scaled(&number.to_string(), scale).ok(),
            _ => None,
        };
        let read = read.ok_or_else(|| {
            let max = largest(scale);
            let accepted = format!("-{max} to {max}, with a decimal point and up to {scale} decimals");
            RowError::of_value(column, Code::NumberInvalid, value, &accepted)
        })?;
        values.push((metric.clone(), read));
    }
    match columns.metrics.values().next() {
        Some(column) if values.is_empty() => Err(RowError::of_value(
            column,
            Code::NumberInvalid,
            &Value::Null,
            "a number in at least one column",
        )),
        _ => Ok(values),
    }
}
