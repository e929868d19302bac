//! Uploads.

use crate::tasks::{ErrorCode, Percent};
use chrono::{DateTime, Utc};
use domain::{Status, UploadPurpose, UploadStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
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

/// A new task of a file that is not in the request.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTaskBody {
    /// The id of an upload that is complete.
    #[schema(example = "0b9c5a0e-4f0b-4f60-9d0c-1a4a7a1c2f10")]
    pub upload_id: Option<String>,
    /// A URL (`http` or `https`) from which the file is fetched, instead of `upload_id`.
    #[schema(example = "https://files.example.com/clip.mp4")]
    pub source_url: Option<String>,
    /// Headers for the host of `source_url`, such as `Authorization`.
    pub headers: Option<BTreeMap<String, String>>,
    /// The name of the file of `source_url`. By default the last part of its path.
    #[schema(example = "clip.mp4")]
    pub file_name: Option<String>,
    /// The name of a preset; not together with `recipe`. If both are absent, the default preset is used.
    #[schema(example = "web")]
    pub preset: Option<String>,
    /// A recipe; not together with `preset`.
    #[schema(value_type = Option<domain::Recipe>)]
    pub recipe: Option<Value>,
    /// A URL (`http` or `https`) to which the events of the task are sent as webhooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://hooks.example.com/rushes")]
    pub webhook_url: Option<String>,
}

/// The task of a guest's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadTask {
    /// The status of the task.
    pub status: Status,
    /// The progress of the task.
    pub progress: Percent,
    /// The error of a failed task; null otherwise.
    pub error: Option<ErrorCode>,
}

/// An upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadView {
    /// The id.
    #[schema(example = "0b9c5a0e-4f0b-4f60-9d0c-1a4a7a1c2f10")]
    pub upload_id: String,
    /// The status: `finished` and `failed` are final.
    pub status: UploadStatus,
    /// The name of the file.
    #[schema(example = "clip.mp4")]
    pub file_name: String,
    /// The number of bytes that are stored durably. Of a presigned upload: those that were verified.
    pub received_bytes: i64,
    /// The length of the file in bytes; null while it is not known.
    pub length_bytes: Option<i64>,
    /// The task that was created from the file.
    pub task_id: Option<i64>,
    /// The reason why the file could not be fetched, or why there is no task of a guest's file; null unless `status` is
    /// `failed`.
    pub error: Option<UploadError>,
    /// The task of the file, for guests alone: they cannot read the task itself, and get no `task_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<UploadTask>,
    /// The upload is removed after this time. The file of a task stays.
    pub expires_at: DateTime<Utc>,
}

/// The reason why a file could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadError {
    /// The error code.
    #[schema(example = "source_url_status")]
    pub code: String,
    /// The value that was wrong, and what is accepted.
    #[schema(example = "the host answered with status 404")]
    pub detail: Option<String>,
}

/// A file that the client will write to the bucket itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PresignedUploadBody {
    /// The length of the file in bytes.
    #[schema(required = true, nullable = false, minimum = 1, example = 1_073_741_824)]
    pub bytes: Option<i64>,
    /// The name of the file.
    #[schema(example = "clip.mp4")]
    pub file_name: Option<String>,
    /// The media type of the file. One that is certainly no video and no audio is refused.
    #[schema(example = "video/mp4")]
    pub content_type: Option<String>,
    /// `manifest` for the file of an import. By default `video`.
    pub purpose: Option<UploadPurpose>,
}

/// A new presigned upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewPresignedUpload {
    /// The id, for `POST /api/tasks` when the file is verified.
    #[schema(example = "0b9c5a0e-4f0b-4f60-9d0c-1a4a7a1c2f10")]
    pub upload_id: String,
    /// The length of each part in bytes, except the last.
    #[schema(example = 16_777_216)]
    pub part_bytes: i64,
    /// The number of parts.
    #[schema(example = 64)]
    pub parts: u32,
    /// The upload is removed after this time. Each request for URLs, and progress of the verification, extends it.
    pub expires_at: DateTime<Utc>,
}

/// The parts to sign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignPartsBody {
    /// The number of the first part; 1 by default.
    #[schema(minimum = 1)]
    pub first: Option<u32>,
    /// The number of parts, at most 100; 100 by default. There are fewer at the end of the file.
    #[schema(minimum = 1, maximum = 100)]
    pub count: Option<u32>,
}

/// URLs to which the parts of a file are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignedParts {
    /// The parts in order.
    pub parts: Vec<SignedPart>,
    /// The URLs are valid until this time.
    pub urls_expire_at: DateTime<Utc>,
}

/// A URL to which one part is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignedPart {
    /// The number of the part, from 1.
    pub number: u32,
    /// The length of the part in bytes.
    pub bytes: i64,
    /// The URL for `PUT` with the bytes of the part. No other header is needed, in particular no token. Keep the `ETag`
    /// of the reply.
    pub url: String,
}

/// The parts that were written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompletePartsBody {
    /// The `ETag` that the bucket has given to each part, in order.
    #[schema(required = true, nullable = false, min_items = 1, max_items = 1_100)]
    pub etags: Option<Vec<String>>,
    /// The SHA-256 that the file must have, in hexadecimal.
    #[schema(pattern = "^[0-9a-fA-F]{64}$")]
    pub sha256: Option<String>,
}

/// A presigned upload that is being verified, or is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PresignedUpload {
    /// The id, for `POST /api/tasks` when the upload is complete.
    #[schema(example = "0b9c5a0e-4f0b-4f60-9d0c-1a4a7a1c2f10")]
    pub upload_id: String,
    /// True when the file is verified.
    pub complete: bool,
    /// The length of the file in bytes.
    pub bytes: i64,
    /// The number of bytes that are verified.
    pub verified_bytes: i64,
    /// The SHA-256 of the file in hexadecimal; null until it is verified.
    pub sha256: Option<String>,
    /// The upload is removed after this time if it is no task then.
    pub expires_at: DateTime<Utc>,
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
