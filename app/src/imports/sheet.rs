//! The rows of an import: the columns that they need, and the checks of one row.

use crate::datasets::Columns;
use crate::{Error, Refusal};
use domain::Code;
use domain::dataset::{read_fact, read_region};
use domain::lookup::Point;
use domain::manifest::{Kind, RowError, read_metadata, read_video, row_key};
use entity::{Json, import};
use serde_json::Map;
use std::sync::Arc;

/// Maximum size of a row in bytes. All values that a valid row may have are shorter together.
const MAX_ROW_BYTES: usize = 64 << 10;
/// Maximum size of a row of regions: a geometry of 250,000 points as hexadecimal digits.
const MAX_REGION_BYTES: usize = 8 << 20;

/// A row that is valid.
pub(super) struct Checked {
    /// The text by which repeated rows are found, if rows may not be repeated.
    pub(super) key: Option<String>,
    /// The point to look up.
    pub(super) point: Option<Point>,
}

/// The rows of an import.
#[derive(Clone)]
pub(super) struct Sheet {
    pub(super) import: i64,
    pub(super) kind: Kind,
    is_dry_run: bool,
    looks_up: bool,
    /// Those of a dataset.
    columns: Option<Arc<Columns>>,
}

impl Sheet {
    pub(super) fn of(import: &import::Model) -> Result<Self, Error> {
        let kind: Kind = import.kind.parse().map_err(|_| anyhow::anyhow!("unknown kind"))?;
        Ok(Self {
            import: import.id,
            kind,
            is_dry_run: import.is_dry_run,
            looks_up: import.lookup_row.is_some(),
            columns: columns(import)?.map(Arc::new),
        })
    }

    /// Maximum size of a row in bytes.
    pub(super) const fn max_row_bytes(&self) -> usize {
        match self.kind {
            Kind::Regions => MAX_REGION_BYTES,
            Kind::Videos | Kind::Metadata | Kind::Facts => MAX_ROW_BYTES,
        }
    }

    /// Checks the header of a CSV file.
    ///
    /// # Errors
    /// The code of a file that cannot be imported.
    pub(super) fn check_header(&self, header: &[String]) -> Result<(), Refusal> {
        let missing = match self.columns.as_deref() {
            None => {
                let checked = self.kind.check_columns(header, self.is_dry_run);
                return checked.map_err(|error| Refusal::new(error.code).detail(error.detail));
            }
            Some(Columns::Facts(columns)) => columns.missing(header),
            Some(Columns::Regions(columns)) => columns.missing(header),
        };
        if missing.is_empty() {
            return Ok(());
        }
        let detail = format!(
            "{}; accepted: a file with all columns of the dataset",
            missing.join(", ")
        );
        Err(Refusal::new(Code::ColumnsMissing).detail(detail))
    }

    /// Checks the values of a row.
    pub(super) fn check(&self, fields: &Map<String, Json>) -> Result<Checked, RowError> {
        let value = |column: &str| fields.get(column);
        let (key, point) = match (self.columns.as_deref(), self.kind) {
            (Some(Columns::Facts(columns)), _) => (read_fact(columns, value)?.id, None),
            (Some(Columns::Regions(columns)), _) => (Some(read_region(columns, value)?.code), None),
            (None, Kind::Metadata) => {
                read_metadata(fields)?;
                (Some(row_key(self.kind, fields)), None)
            }
            (None, _) => {
                let video = read_video(fields)?;
                video.check_source(self.is_dry_run)?;
                let point = video.location.filter(|_| self.looks_up).map(Point::from);
                (Some(row_key(self.kind, fields)), point)
            }
        };
        Ok(Checked { key, point })
    }

    /// Returns `true` if rows have ids of which each stands for the same values.
    pub(super) const fn has_ids(&self) -> bool {
        self.columns.is_some()
    }

    /// The error of a row that has the id of another row, but other values. `None` if it repeats it.
    pub(super) fn conflict(&self, first: i64, values: [&Map<String, Json>; 2]) -> Option<RowError> {
        let [one, other] = values;
        let (field, is_same) = match self.columns.as_deref()? {
            Columns::Facts(columns) => {
                let read = |fields: &Map<String, Json>| read_fact(columns, |column| fields.get(column)).ok();
                (columns.id.as_deref().unwrap_or_default(), read(one) == read(other))
            }
            Columns::Regions(columns) => {
                let read = |fields: &Map<String, Json>| read_region(columns, |column| fields.get(column)).ok();
                (columns.code.as_str(), read(one) == read(other))
            }
        };
        let detail = format!("row {first} has the same one; accepted: once, or with the same values");
        (!is_same).then(|| RowError::new(field, Code::IdConflict, &detail))
    }
}

/// The columns of the dataset that an import loads.
pub(super) fn columns(import: &import::Model) -> Result<Option<Columns>, Error> {
    let kind = match import.kind.parse() {
        Ok(Kind::Facts) => domain::dataset::DatasetKind::Facts,
        Ok(Kind::Regions) => domain::dataset::DatasetKind::Regions,
        _ => return Ok(None),
    };
    let stored = import.dataset_columns.clone().unwrap_or_default();
    Columns::read(kind, &stored).map(Some)
}
