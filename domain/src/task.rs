//! Identifiers and the status of tasks.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;

/// The id of a task, as in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct TaskId(pub i64);

/// The id of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub i64);

/// The id of a worker process. It is never used by two processes at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WorkerId(pub String);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The error for a text that is not the id of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTaskId;

impl FromStr for TaskId {
    type Err = InvalidTaskId;

    /// Accepts only the text that [`fmt::Display`] writes, not `01` or `+1`, so that a task has one path.
    fn from_str(text: &str) -> Result<Self, InvalidTaskId> {
        let id = text.parse().map(Self).map_err(|_| InvalidTaskId)?;
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(InvalidTaskId)
        }
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The status of a task; the same words in SQL, JSON and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The source is stored; the task waits for a worker.
    Uploaded,
    /// Claimed by a worker that holds its lease.
    Processing,
    /// All outputs are verified and stored. Final.
    Processed,
    /// No attempt is left; the task has an error code. Final.
    Failed,
    /// Canceled by its owner. Final.
    Canceled,
}

impl Status {
    /// All statuses, in the order of a task's life.
    pub const ALL: [Self; 5] = [
        Self::Uploaded,
        Self::Processing,
        Self::Processed,
        Self::Failed,
        Self::Canceled,
    ];

    /// Returns `true` if a task with this status never changes again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Uploaded | Self::Processing => false,
            Self::Processed | Self::Failed | Self::Canceled => true,
        }
    }

    /// Returns the word in SQL, JSON and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uploaded => "uploaded",
            Self::Processing => "processing",
            Self::Processed => "processed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
