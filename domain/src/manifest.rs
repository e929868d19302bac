//! Manifests of bulk imports: the accepted columns, and the values of a row.
//!
//! A row is a JSON object. One of a CSV file has a text for each cell that is not empty. One of a JSONL file has any
//! JSON. The same rules apply to both: a number may be given as text, and tags as text with semicolons.
//!
//! *Order of the checks.* [`Kind::check_columns`] checks the header of a CSV file and ends the import if it is refused.
//! [`read_video`] and [`read_metadata`] check the names and values of one row; a [`RowError`] refuses that row alone.
//! Addresses, presets of accounts, uploads and videos are looked up by the caller.
//!
//! *Null.* A null is the same as an absent field, except in a row of [`Kind::Metadata`]: there it removes the value of
//! a field that a video may lack.

mod columns;
mod details;
mod metadata_row;
mod row_error;
mod row_key;
mod status;
mod video_row;

pub use columns::{ColumnError, Kind, UnknownKind};
pub use details::{DetailChanges, Details};
pub use metadata_row::{MetadataRow, VideoRef, read_metadata};
pub use row_error::RowError;
pub use row_key::row_key;
pub use status::{ImportStatus, RowStatus};
pub use video_row::{Choice, Location, Source, VideoRow, read_video};

#[cfg(test)]
mod tests;
