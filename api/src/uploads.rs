//! Uploads.

use chrono::{DateTime, Utc};
use domain::Status;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A new task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Uploaded {
    /// A sentence for users.
    #[schema(example = "Video 2026/01/31/7_clip.mp4 uploaded")]
    pub message: String,
    /// The same as `id`.
    pub task_id: i64,
    /// The id of the task.
    pub id: i64,
    /// The id of its video. Absent only in replies to an idempotency key that an earlier version has stored.
    pub video_id: Option<i64>,
    /// The status of the task: `uploaded`.
    pub status: Status,
    /// Logical key: `YYYY/MM/DD/{id}_{name}`.
    pub file_path: String,
    /// The preset of the task; null when it was created with a recipe.
    pub preset: Option<String>,
    /// The file name as given by the user.
    pub display_name: String,
    /// Time of the upload.
    pub created_at: DateTime<Utc>,
}
