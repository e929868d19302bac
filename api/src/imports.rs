//! Imports of manifests.

use chrono::{DateTime, Utc};
use domain::lookup::LookupStatus;
use domain::manifest::{ImportStatus, Kind, RowStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// An import, with how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportView {
    /// Its id.
    pub id: i64,
    /// The kind of its rows.
    pub kind: Kind,
    /// Its status. `done`, `done_with_errors`, `failed` and `canceled` are final.
    pub status: ImportStatus,
    /// Rows are checked, and have no effect.
    pub dry_run: bool,
    /// The name of the manifest.
    pub file_name: String,
    /// The hash of the manifest, hexadecimal SHA-256.
    pub sha256: String,
    /// Size of the manifest as it was sent, in bytes.
    pub bytes: i64,
    /// The number of bytes of the unpacked manifest that were read.
    pub bytes_read: i64,
    /// The rows that were read, by status.
    pub rows: RowCounts,
    /// The rows whose points were looked up, by the result. Absent in events of earlier versions.
    #[serde(default)]
    #[schema(required = false)]
    pub lookup: LookupCounts,
    /// The import waits for the lookup service, which does not answer. Absent in events of earlier versions.
    #[serde(default)]
    #[schema(required = false)]
    pub waiting_for_lookup: bool,
    /// The error of the manifest; only if the status is `failed`.
    pub error: Option<ImportError>,
    /// The time at which it was sent.
    pub created_at: DateTime<Utc>,
    /// The time at which it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// The numbers of rows of an import. `total` is the sum of the others at every moment; it grows while the manifest is
/// read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RowCounts {
    /// All rows that were read.
    pub total: i64,
    /// Rows that have not begun.
    pub pending: i64,
    /// Rows whose file is on its way.
    pub working: i64,
    /// Rows that have created a task; in a dry run, rows that would create one.
    pub created: i64,
    /// Rows that have changed a video; in a dry run, rows that would change one.
    pub updated: i64,
    /// Rows that repeat an earlier row, or a video with the same external id.
    pub duplicate: i64,
    /// Rows with an error.
    pub error: i64,
}

/// The numbers of rows of an import whose points were looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ImportLookupCounts)]
pub struct LookupCounts {
    /// Rows whose points the service knows.
    pub found: i64,
    /// Rows whose points the service does not know.
    pub no_data: i64,
    /// Rows for which there was no valid answer.
    pub failed: i64,
}

/// The error of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportError {
    /// The code, for programs.
    #[schema(example = "column_unknown")]
    pub code: String,
    /// The refused value and what is accepted, in English.
    pub detail: String,
}

/// A page of imports, the newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportList {
    /// The imports.
    pub data: Vec<ImportView>,
    /// The cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
}

/// A row of an import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportRowView {
    /// Its number in the manifest, from 1, without the header.
    pub row: i64,
    /// The line at which it begins, from 1.
    pub line: i64,
    /// The byte at which it begins, in the unpacked manifest.
    pub byte: i64,
    /// Its status.
    pub status: RowStatus,
    /// The error; only if the status is `error`.
    pub error: Option<ImportRowError>,
    /// The task that was created.
    pub task_id: Option<i64>,
    /// The video that was created or changed, or that has the same external id.
    pub video_id: Option<i64>,
    /// The row with the same external id or the same values.
    pub duplicate_of: Option<i64>,
    /// The lookup of the point of the row.
    pub lookup: LookupStatus,
    /// The answer of the lookup service; only if `lookup` is `found`.
    #[schema(value_type = Option<Object>)]
    pub lookup_result: Option<Value>,
    /// The code of the error of the lookup; only if `lookup` is `failed`.
    pub lookup_error: Option<String>,
    /// The values of the manifest; absent for a row that could not be read.
    #[schema(value_type = Option<Object>)]
    pub fields: Option<Value>,
}

/// The error of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportRowError {
    /// The field, if the error is that of one.
    #[schema(example = "lat")]
    pub field: Option<String>,
    /// The code, for programs.
    #[schema(example = "latitude_invalid")]
    pub code: String,
    /// The refused value and what is accepted, in English.
    #[schema(example = "\"95.2\"; accepted: -90 to 90")]
    pub detail: Option<String>,
}

/// A page of rows, in the order of the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportRowList {
    /// The rows.
    pub data: Vec<ImportRowView>,
    /// The cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
}

/// A message of the stream of an import (HTML Living Standard, server-sent events), as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportMessage {
    /// `ended` for the last message. A client that connects again with it as `Last-Event-ID` gets 204, after which
    /// browsers do not connect again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// Always `message`.
    pub event: String,
    /// JSON: the import.
    pub data: String,
}
