//! The columns of datasets.

use crate::analytics::Bucket;
use crate::recipe::Name;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use thiserror::Error;
use utoipa::ToSchema;

/// Maximum number of groups of a dataset.
pub const GROUPS_MAX: usize = 4;
/// Maximum number of metrics of a dataset.
const METRICS_MAX: usize = 8;
/// Maximum length of the name of a metric or a group, in characters.
const NAME_CHARS: usize = 32;
/// Maximum length of the name of a column, in characters.
const COLUMN_CHARS: usize = 100;
/// The number of decimals of a metric for which none is given: that of most amounts of money.
const SCALE: u8 = 2;
/// Maximum number of decimals of a metric.
const SCALE_MAX: u8 = 6;
/// Dimensions that are no groups.
const DIMENSIONS: [&str; 2] = ["region", "time"];

/// The kind of a dataset; the same words in SQL and JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DatasetKind {
    /// Numbers by time, region and groups.
    Facts,
    /// Geometries with codes.
    Regions,
}

impl DatasetKind {
    /// Returns the word in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Facts => "facts",
            Self::Regions => "regions",
        }
    }
}

impl fmt::Display for DatasetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The columns of a table of facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FactColumns {
    /// The column with the time: a date, a month such as `2015-01`, or a time of RFC 3339.
    #[schema(example = "p_month")]
    pub time: String,
    /// The smallest unit of time that is kept: facts of the same unit are added up.
    #[serde(default = "day")]
    pub granularity: Bucket,
    /// The column with the code of the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "postal_code")]
    pub region: Option<String>,
    /// The dataset with the regions. Rows with codes that it does not have are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "postal-codes")]
    pub regions: Option<String>,
    /// The column with an id of the row. The same id with other values is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "id")]
    pub id: Option<String>,
    /// The columns with numbers, by the names of the metrics.
    #[schema(example = json!({"turnover": "amount"}))]
    pub metrics: BTreeMap<String, String>,
    /// The number of decimals of metrics, 0 to 6; 2 for those that are not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(example = json!({"turnover": 2}))]
    pub scales: BTreeMap<String, u8>,
    /// The columns with words by which facts can be grouped, by the names of the groups.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(example = json!({"age": "p_age"}))]
    pub groups: BTreeMap<String, String>,
}

const fn day() -> Bucket {
    Bucket::Day
}

/// The columns of a table of regions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionColumns {
    /// The column with the code, by which facts name the region.
    #[schema(example = "id")]
    pub code: String,
    /// The column with the name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "name")]
    pub name: Option<String>,
    /// The column with the geometry: WKB or EWKB as hexadecimal digits, or GeoJSON.
    #[schema(example = "the_geom")]
    pub geometry: String,
}

/// Columns that are refused: the field, and what is accepted, in English.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {detail}")]
pub struct ColumnsError {
    /// The path of the field, such as `metrics.turnover`.
    pub field: String,
    /// The refused value and the accepted ones.
    pub detail: String,
}

impl ColumnsError {
    fn new(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            detail: detail.into(),
        }
    }
}

impl FactColumns {
    /// Checks the names and their numbers.
    ///
    /// # Errors
    /// The first field that is refused.
    pub fn check(&self) -> Result<(), ColumnsError> {
        check_column("time", &self.time)?;
        for (field, column) in [("region", &self.region), ("id", &self.id)] {
            column.iter().try_for_each(|column| check_column(field, column))?;
        }
        if let Some(name) = &self.regions
            && name.parse::<Name>().is_err()
        {
            return Err(ColumnsError::new(
                "regions",
                "accepted: the name of a dataset of regions",
            ));
        }
        if self.regions.is_some() && self.region.is_none() {
            let detail = "absent; accepted: the column with the code of the region";
            return Err(ColumnsError::new("region", detail));
        }
        if !(1..=METRICS_MAX).contains(&self.metrics.len()) {
            let detail = format!("{} metrics; accepted: 1 to {METRICS_MAX}", self.metrics.len());
            return Err(ColumnsError::new("metrics", detail));
        }
        if self.groups.len() > GROUPS_MAX {
            let detail = format!("{} groups; accepted: up to {GROUPS_MAX}", self.groups.len());
            return Err(ColumnsError::new("groups", detail));
        }
        for (field, columns) in [("metrics", &self.metrics), ("groups", &self.groups)] {
            for (name, column) in columns {
                let path = format!("{field}.{name}");
                check_name(&path, name)?;
                check_column(&path, column)?;
            }
        }
        if let Some(name) = self.groups.keys().find(|name| DIMENSIONS.contains(&name.as_str())) {
            let detail = format!("{name} is a dimension of its own; accepted: another name");
            return Err(ColumnsError::new(format!("groups.{name}"), detail));
        }
        for (name, scale) in &self.scales {
            if !self.metrics.contains_key(name) || *scale > SCALE_MAX {
                let detail = format!("{scale}; accepted: 0 to {SCALE_MAX}, for a name in metrics");
                return Err(ColumnsError::new(format!("scales.{name}"), detail));
            }
        }
        Ok(())
    }

    /// The number of decimals of a metric.
    #[must_use]
    pub fn scale(&self, metric: &str) -> u8 {
        self.scales.get(metric).copied().unwrap_or(SCALE)
    }

    /// The position of a group; groups are stored in the order of their names.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<usize> {
        self.groups.keys().position(|group| group == name)
    }

    /// The columns that a file lacks.
    #[must_use]
    pub fn missing(&self, header: &[String]) -> Vec<&str> {
        let optional = [Some(&self.time), self.region.as_ref(), self.id.as_ref()];
        let named = optional.into_iter().flatten();
        lacking(header, named.chain(self.metrics.values()).chain(self.groups.values()))
    }
}

impl RegionColumns {
    /// Checks the names.
    ///
    /// # Errors
    /// The first field that is refused.
    pub fn check(&self) -> Result<(), ColumnsError> {
        check_column("code", &self.code)?;
        self.name.iter().try_for_each(|column| check_column("name", column))?;
        check_column("geometry", &self.geometry)
    }

    /// The columns that a file lacks.
    #[must_use]
    pub fn missing(&self, header: &[String]) -> Vec<&str> {
        let columns = [Some(&self.code), self.name.as_ref(), Some(&self.geometry)];
        lacking(header, columns.into_iter().flatten())
    }
}

fn lacking<'a>(header: &[String], columns: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let header: HashSet<&String> = header.iter().collect();
    columns
        .filter(|column| !header.contains(column))
        .map(String::as_str)
        .collect()
}

fn check_column(field: &str, column: &str) -> Result<(), ColumnsError> {
    let is_accepted = (1..=COLUMN_CHARS).contains(&column.chars().count()) && !column.contains(char::is_control);
    if is_accepted {
        return Ok(());
    }
    let detail = format!("accepted: the name of a column, 1 to {COLUMN_CHARS} characters in one line");
    Err(ColumnsError::new(field, detail))
}

/// Names are parts of queries and of the headers of tables.
fn check_name(field: &str, name: &str) -> Result<(), ColumnsError> {
    let is_letter = |byte: u8| byte.is_ascii_lowercase();
    let is_accepted = name.len() <= NAME_CHARS
        && name.bytes().next().is_some_and(is_letter)
        && name
            .bytes()
            .all(|byte| is_letter(byte) || byte.is_ascii_digit() || byte == b'_');
    if is_accepted {
        return Ok(());
    }
    let detail = format!("accepted: 1 to {NAME_CHARS} of a-z, 0-9 and _, with a letter first");
    Err(ColumnsError::new(
        field.chars().filter(|c| !c.is_control()).take(100).collect::<String>(),
        detail,
    ))
}
