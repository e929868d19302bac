//! The status of an import and of its rows.
//!
//! ```text
//! import: received -> staging -> running -> done | done_with_errors | failed | canceled
//! row:    pending -> working -> created | updated | duplicate | error
//! ```

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// The status of an import; the same words in SQL, JSON and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportStatus {
    /// The manifest is stored; the import waits for a worker.
    Received,
    /// The rows are read from the manifest.
    Staging,
    /// The rows are processed.
    Running,
    /// All rows are processed without an error. Final.
    Done,
    /// All rows are processed, and some have an error. Final.
    DoneWithErrors,
    /// The manifest could not be read to its end; the import has an error code. Final.
    Failed,
    /// Canceled by its owner. Final.
    Canceled,
}

impl ImportStatus {
    /// All statuses, in the order of an import's life.
    pub const ALL: [Self; 7] = [
        Self::Received,
        Self::Staging,
        Self::Running,
        Self::Done,
        Self::DoneWithErrors,
        Self::Failed,
        Self::Canceled,
    ];

    /// Returns the word in SQL, JSON and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Staging => "staging",
            Self::Running => "running",
            Self::Done => "done",
            Self::DoneWithErrors => "done_with_errors",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Returns the status with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Returns `true` if no more rows are read or processed.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Received | Self::Staging | Self::Running => false,
            Self::Done | Self::DoneWithErrors | Self::Failed | Self::Canceled => true,
        }
    }
}

impl fmt::Display for ImportStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The status of a row of an import; the same words in SQL, JSON and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowStatus {
    /// Read from the manifest; the row waits for a worker.
    Pending,
    /// A worker fetches the file of the row.
    Working,
    /// There is a task of the row. Final.
    Created,
    /// The video of the row is changed. Final.
    Updated,
    /// An earlier row has the same key, or a video of the account the same external id. Final.
    Duplicate,
    /// The row has an error code. Final.
    Error,
}

impl RowStatus {
    /// All statuses, in the order of a row's life.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Working,
        Self::Created,
        Self::Updated,
        Self::Duplicate,
        Self::Error,
    ];

    /// Returns the word in SQL, JSON and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Working => "working",
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Duplicate => "duplicate",
            Self::Error => "error",
        }
    }

    /// Returns the status with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Returns `true` if the row is not processed again, unless its owner retries it.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Pending | Self::Working => false,
            Self::Created | Self::Updated | Self::Duplicate | Self::Error => true,
        }
    }
}

impl fmt::Display for RowStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
