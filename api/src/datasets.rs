//! Datasets of facts and regions.

use chrono::{DateTime, Utc};
use domain::dataset::{DatasetKind, FactColumns, RegionColumns};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The columns of a dataset: those of facts, or those of regions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetBody {
    /// The columns of a dataset of facts.
    pub facts: Option<FactColumns>,
    /// The columns of a dataset of regions.
    pub regions: Option<RegionColumns>,
}

/// A dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetView {
    /// Its name.
    #[schema(example = "turnover")]
    pub name: String,
    /// Its kind, which does not change.
    pub kind: DatasetKind,
    /// The columns of files that will be loaded; only of a dataset of facts.
    pub facts: Option<FactColumns>,
    /// The columns of files that will be loaded; only of a dataset of regions.
    pub regions: Option<RegionColumns>,
    /// The rows that queries read; absent before the first load.
    pub loaded: Option<DatasetVersion>,
    /// The time at which it was created.
    pub created_at: DateTime<Utc>,
    /// The time at which its columns were last changed.
    pub updated_at: DateTime<Utc>,
}

/// The rows of a dataset that queries read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetVersion {
    /// The id of the import that has loaded them.
    pub import_id: i64,
    /// Their number.
    pub rows: i64,
    /// The time at which they were loaded.
    pub loaded_at: Option<DateTime<Utc>>,
}

/// All datasets of an account on one page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetList {
    /// The datasets, ordered by name.
    pub data: Vec<DatasetView>,
    /// Always absent.
    pub next_cursor: Option<String>,
}
