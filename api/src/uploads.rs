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

/// A new resumable upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewUpload {
    /// The id, for `POST /api/tasks` when all bytes are there.
    #[schema(example = "0b9c5a0e-4f0b-4f60-9d0c-1a4a7a1c2f10")]
    pub upload_id: String,
    /// The upload is removed after this time. Each request with bytes extends it.
    pub expires_at: DateTime<Utc>,
}
