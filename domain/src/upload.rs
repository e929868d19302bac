//! The status and the purpose of an upload.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The purpose of an upload; the same words in SQL and requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UploadPurpose {
    /// The file becomes the source of a task.
    #[default]
    Video,
    /// The file becomes the manifest of an import.
    Manifest,
}

impl UploadPurpose {
    /// Returns the word in SQL and requests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Manifest => "manifest",
        }
    }

    /// Returns the purpose with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Video, Self::Manifest]
            .into_iter()
            .find(|purpose| purpose.as_str() == word)
    }
}

/// The status of an upload, which says what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UploadStatus {
    /// Bytes are missing: those of the next request of the client, or of the next attempt to fetch the file.
    Waiting,
    /// Bytes arrive, or the file is verified.
    Receiving,
    /// The whole file is stored and verified; there is no task of it yet.
    Complete,
    /// There is a task of the file.
    Finished,
    /// The file could not be fetched; the error tells why.
    Failed,
}
