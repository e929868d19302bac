//! The kinds of manifests and their columns.

use super::row_error::{RowError, readable, shown};
use crate::code::Code;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;
use utoipa::ToSchema;

/// The columns of [`Kind::Videos`].
const VIDEOS: &[&str] = &[
    "source_url",
    "upload_id",
    "title",
    "description",
    "tags",
    "preset",
    "recipe",
    "external_id",
    "visibility",
    "region",
    "lat",
    "lon",
];

/// The columns of [`Kind::Metadata`].
const METADATA: &[&str] = &[
    "video_id",
    "external_id",
    "title",
    "description",
    "tags",
    "visibility",
    "region",
];

/// The columns of [`METADATA`] that change a video, however it is identified.
const CHANGES: &[&str] = &["title", "description", "tags", "visibility", "region"];

/// The fields of a row of [`Kind::Metadata`] that change a video, for error messages.
pub(super) const ACCEPTED_CHANGES: &str =
    "at least one of title, description, tags, visibility, region, meta.NAME, and external_id with video_id";

/// The beginning of a column for one key of the metadata.
const META: &str = "meta.";
/// The field of a JSONL row for several keys of the metadata.
const META_OBJECT: &str = "meta";
/// Maximum length of the key of a column for metadata, in characters.
const META_CHARS: usize = 100;

/// The kind of a manifest: what its rows make; the same words in SQL, JSON and requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ImportKind)]
pub enum Kind {
    /// Each row creates a video with a task.
    Videos,
    /// Each row changes the description of a video.
    Metadata,
    /// Each row is a fact of a dataset.
    Facts,
    /// Each row is a region of a dataset.
    Regions,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Videos, Self::Metadata, Self::Facts, Self::Regions];

    /// Returns the word in SQL, JSON and requests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Videos => "videos",
            Self::Metadata => "metadata",
            Self::Facts => "facts",
            Self::Regions => "regions",
        }
    }

    /// Checks the header of a CSV file of videos or metadata. A dry run of [`Kind::Videos`] needs no source if it has
    /// locations.
    ///
    /// # Errors
    /// `column_unnamed`, `column_repeated` and `column_unknown` for the first column that is refused, and
    /// `columns_missing`.
    pub fn check_columns(self, columns: &[String], dry_run: bool) -> Result<(), ColumnError> {
        let mut seen = HashSet::new();
        for (index, column) in columns.iter().enumerate() {
            if column.trim().is_empty() {
                let detail = format!("column {} of {}; accepted: a name", index + 1, columns.len());
                return Err(ColumnError::new(Code::ColumnUnnamed, &detail));
            }
            let name = shown(&Value::from(column.as_str()));
            if !self.has_column(column) {
                let detail = format!("{name}; accepted: {}", self.accepted(&[]));
                return Err(ColumnError::new(Code::ColumnUnknown, &detail));
            }
            if !seen.insert(column.as_str()) {
                return Err(ColumnError::new(
                    Code::ColumnRepeated,
                    &format!("{name}; accepted: once"),
                ));
            }
        }
        self.check_needed(&seen, dry_run)
    }

    fn check_needed(self, columns: &HashSet<&str>, dry_run: bool) -> Result<(), ColumnError> {
        let has = |column: &str| columns.contains(column);
        let missing = |accepted: &str| Err(ColumnError::new(Code::ColumnsMissing, &format!("accepted: {accepted}")));
        match self {
            Self::Facts | Self::Regions => Ok(()),
            Self::Videos if has("source_url") || has("upload_id") => Ok(()),
            Self::Videos if dry_run && has("lat") && has("lon") => Ok(()),
            Self::Videos if dry_run => missing("source_url or upload_id; in a dry run also lat and lon alone"),
            Self::Videos => missing("source_url or upload_id"),
            Self::Metadata if !has("video_id") && !has("external_id") => missing("video_id or external_id"),
            Self::Metadata => {
                let is_change = |column: &&str| CHANGES.contains(column) || column.starts_with(META);
                let changes_external_id = has("video_id") && has("external_id");
                if changes_external_id || columns.iter().any(is_change) {
                    Ok(())
                } else {
                    missing(ACCEPTED_CHANGES)
                }
            }
        }
    }

    /// Checks the names of the fields of a row. Those of a CSV row are known already.
    pub(super) fn check_fields(self, fields: &Map<String, Value>) -> Result<(), RowError> {
        match fields
            .keys()
            .find(|field| !self.has_column(field) && *field != META_OBJECT)
        {
            None => Ok(()),
            Some(field) => {
                let (name, accepted) = (Value::from(field.as_str()), self.accepted(&[META_OBJECT]));
                Err(RowError::of_value(field, Code::ColumnUnknown, &name, &accepted))
            }
        }
    }

    fn has_column(self, name: &str) -> bool {
        let is_key = |key: &str| (1..=META_CHARS).contains(&key.chars().count()) && !key.contains(char::is_control);
        self.columns().contains(&name) || name.strip_prefix(META).is_some_and(is_key)
    }

    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Videos => VIDEOS,
            Self::Metadata => METADATA,
            // Their columns are those that the dataset names.
            Self::Facts | Self::Regions => &[],
        }
    }

    /// The accepted names, for error messages.
    fn accepted(self, more: &[&str]) -> String {
        let last = "meta.NAME (a NAME of 1 to 100 characters)";
        [self.columns(), more, &[last]].concat().join(", ")
    }
}

/// The key of the metadata that a column is for.
pub(super) fn metadata_key(column: &str) -> Option<&str> {
    column.strip_prefix(META)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error for a text that is no kind of manifest: `kind_unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("accepted: videos, metadata")]
pub struct UnknownKind;

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownKind)
    }
}

/// A header that is refused, which ends the import.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {detail}", code.as_str())]
pub struct ColumnError {
    /// `column_unnamed`, `column_repeated`, `column_unknown` or `columns_missing`.
    pub code: Code,
    /// The refused column and the accepted ones. Contains no control characters.
    pub detail: String,
}

impl ColumnError {
    fn new(code: Code, detail: &str) -> Self {
        Self {
            code,
            detail: readable(detail, usize::MAX),
        }
    }
}
