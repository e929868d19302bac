//! Rows of regions.

use super::columns::RegionColumns;
use super::fact_row::{present, word};
use crate::code::Code;
use crate::manifest::RowError;
use serde_json::Value;

/// A region. Its geometry is checked by the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionRow {
    /// The code by which facts name it.
    pub code: String,
    /// The name for people.
    pub name: Option<String>,
    /// WKB or EWKB as hexadecimal digits, or GeoJSON.
    pub geometry: String,
}

/// Reads a row of regions. `value` returns the value of a column.
///
/// # Errors
/// The first column that is not accepted.
pub fn read_region<'a>(
    columns: &RegionColumns,
    value: impl Fn(&str) -> Option<&'a Value>,
) -> Result<RegionRow, RowError> {
    let required = |column: &str, code: Code, accepted: &str| {
        present(value(column)).ok_or_else(|| RowError::of_value(column, code, &Value::Null, accepted))
    };
    let code = required(&columns.code, Code::RegionInvalid, "1 to 100 characters in one line")?;
    let name = columns
        .name
        .as_deref()
        .and_then(|column| Some((column, present(value(column))?)));
    let geometry = required(
        &columns.geometry,
        Code::GeometryInvalid,
        "WKB or EWKB as hexadecimal digits, or GeoJSON",
    )?;
    Ok(RegionRow {
        code: word(&columns.code, Code::RegionInvalid, code)?,
        name: name
            .map(|(column, name)| word(column, Code::NameInvalid, name))
            .transpose()?,
        geometry: geometry.as_str().map_or_else(|| geometry.to_string(), str::to_owned),
    })
}
