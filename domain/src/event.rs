//! Types of events. They are a public contract: streams and lists carry them, so a type is never renamed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The type of an event; the same words in SQL, JSON and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum EventType {
    /// A task was created, by an upload or a retry.
    #[serde(rename = "task.created")]
    TaskCreated,
    /// The outputs of a task are verified and stored.
    #[serde(rename = "task.processed")]
    TaskProcessed,
    /// No attempt is left; the task has an error code.
    #[serde(rename = "task.failed")]
    TaskFailed,
    /// A task was canceled by its owner.
    #[serde(rename = "task.canceled")]
    TaskCanceled,
    /// A task was removed with its outputs.
    #[serde(rename = "task.deleted")]
    TaskDeleted,
    /// The file of an upload could not be fetched from its URL; the upload has an error code.
    #[serde(rename = "upload.failed")]
    UploadFailed,
    /// A video was created, by an upload.
    #[serde(rename = "video.created")]
    VideoCreated,
    /// The description of a video was changed.
    #[serde(rename = "video.updated")]
    VideoUpdated,
    /// A video was published, or is now shown to others or with another task.
    #[serde(rename = "video.published")]
    VideoPublished,
    /// A video is private again.
    #[serde(rename = "video.unpublished")]
    VideoUnpublished,
    /// A video was removed with its source.
    #[serde(rename = "video.deleted")]
    VideoDeleted,
    /// An import has ended: all its rows have, or it has failed or was canceled.
    #[serde(rename = "import.finished")]
    ImportFinished,
    /// A webhook was disabled because its receiver has answered with 410, or because all attempts have failed for days.
    #[serde(rename = "webhook.disabled")]
    WebhookDisabled,
}

impl EventType {
    /// All types.
    pub const ALL: [Self; 13] = [
        Self::TaskCreated,
        Self::TaskProcessed,
        Self::TaskFailed,
        Self::TaskCanceled,
        Self::TaskDeleted,
        Self::UploadFailed,
        Self::VideoCreated,
        Self::VideoUpdated,
        Self::VideoPublished,
        Self::VideoUnpublished,
        Self::VideoDeleted,
        Self::ImportFinished,
        Self::WebhookDisabled,
    ];

    /// Returns the word in SQL, JSON and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TaskCreated => "task.created",
            Self::TaskProcessed => "task.processed",
            Self::TaskFailed => "task.failed",
            Self::TaskCanceled => "task.canceled",
            Self::TaskDeleted => "task.deleted",
            Self::UploadFailed => "upload.failed",
            Self::VideoCreated => "video.created",
            Self::VideoUpdated => "video.updated",
            Self::VideoPublished => "video.published",
            Self::VideoUnpublished => "video.unpublished",
            Self::VideoDeleted => "video.deleted",
            Self::ImportFinished => "import.finished",
            Self::WebhookDisabled => "webhook.disabled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_one_word_in_sql_and_json() {
        for kind in EventType::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
