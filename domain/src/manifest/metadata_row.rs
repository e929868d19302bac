//! Rows that change the description of videos.

use super::columns::{ACCEPTED_CHANGES, Kind};
use super::details::{DetailChanges, Fields};
use super::row_error::RowError;
use crate::code::Code;
use crate::video::VideoId;
use serde_json::{Map, Value};

/// A row that changes a video.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataRow {
    /// The video. It may not exist.
    pub video: VideoRef,
    /// The changes, at least one.
    pub changes: DetailChanges,
}

/// A reference to a video of the account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VideoRef {
    /// Its id.
    Id(VideoId),
    /// Its id in another system.
    External(String),
}

/// Reads a row of [`Kind::Metadata`]. If it has a `video_id`, its `external_id` is a change; else it identifies the
/// video. A null of `description`, `tags`, `region`, a key of the metadata, or a changed `external_id` removes the
/// value. A null of `title` is the same as an absent one, because a video always has a title.
///
/// # Errors
/// The first field that is unknown or not accepted; `fields_missing` without a reference to a video, and
/// `changes_missing`.
pub fn read_metadata(fields: &Map<String, Value>) -> Result<MetadataRow, RowError> {
    Kind::Metadata.check_fields(fields)?;
    let fields = Fields(fields);
    let mut changes = fields.changes()?;
    let external_id = fields.external_id()?;
    let video = match (video_id(fields)?, external_id) {
        (Some(id), external_id) => {
            let is_removed = fields.is_null("external_id");
            changes.external_id = external_id.map(Some).or_else(|| is_removed.then_some(None));
            VideoRef::Id(id)
        }
        (None, Some(external_id)) => VideoRef::External(external_id),
        (None, None) => {
            let accepted = "accepted: video_id or external_id";
            return Err(RowError::new("video_id", Code::FieldsMissing, accepted));
        }
    };
    if changes.is_empty() {
        let accepted = format!("accepted: {ACCEPTED_CHANGES}");
        return Err(RowError::new("", Code::ChangesMissing, &accepted));
    }
    Ok(MetadataRow { video, changes })
}

/// The id of the video: a whole number, or its text.
fn video_id(fields: Fields<'_>) -> Result<Option<VideoId>, RowError> {
    let Some(value) = fields.value("video_id") else {
        return Ok(None);
    };
    let id = match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_i64().map(VideoId),
    };
    let refused = || RowError::of_value("video_id", Code::VideoIdInvalid, value, "the id of a video, such as 7");
    id.map(Some).ok_or_else(refused)
}
