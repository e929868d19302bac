//! Results of analytics.

use chrono::{DateTime, Utc};
use domain::analytics::Bucket;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The sum of a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TotalView {
    /// The metric.
    pub metric: String,
    /// The sum.
    pub total: f64,
    /// The number of rows in it.
    pub n: i64,
    /// The first unit of time with facts and the last one; absent without facts.
    pub range: Option<SpanView>,
}

/// Two units of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpanView {
    /// The beginning of the first one.
    pub first: DateTime<Utc>,
    /// The beginning of the last one.
    pub last: DateTime<Utc>,
}

/// Sums of a metric by unit of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SeriesView {
    /// The metric.
    pub metric: String,
    /// The unit of time.
    pub bucket: Bucket,
    /// The sums in the order of time. Units without facts have 0.
    pub data: Vec<SeriesValue>,
    /// Always absent.
    pub next_cursor: Option<String>,
}

/// The sum of one unit of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SeriesValue {
    /// The beginning of the unit.
    pub start: DateTime<Utc>,
    /// The word of the dimension of `split_by`; only with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The sum.
    pub value: f64,
    /// The number of rows in it.
    pub n: i64,
}

/// Sums of a metric by one or two dimensions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BreakdownView {
    /// The metric.
    pub metric: String,
    /// The dimension.
    pub dimension: String,
    /// The other dimension, if there is one.
    pub cross: Option<String>,
    /// The sums in the order of the words.
    pub data: Vec<BreakdownValue>,
    /// Always absent.
    pub next_cursor: Option<String>,
}

/// The sum of one word, or of one pair of words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BreakdownValue {
    /// The word of the dimension; empty for facts without one.
    pub key: String,
    /// The word of the other dimension; only with `cross`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cross: Option<String>,
    /// The sum.
    pub value: f64,
    /// The number of rows in it.
    pub n: i64,
}
