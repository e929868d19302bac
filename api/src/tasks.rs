//! Tasks: in lists, alone, and removed.

use chrono::{DateTime, Utc};
use domain::{Recipe, Status, TaskReport};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A page of tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskList {
    /// The tasks of this page.
    pub data: Vec<TaskItem>,
    /// The `cursor` of the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// A task in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskItem {
    /// The same as `id`.
    pub task_id: i64,
    /// The id of the task.
    pub id: i64,
    /// The status of the task.
    pub status: Status,
    /// The preset of the task; null when it was created with a recipe.
    pub preset: Option<String>,
    /// The file name as given by the user.
    pub display_name: String,
    /// Time of the upload or of the retry request.
    pub created_at: DateTime<Utc>,
    /// Time at which the task reached a final status; null before.
    pub finished_at: Option<DateTime<Utc>>,
    /// The progress of the task.
    pub progress: Percent,
    /// The error of a failed task; null otherwise. `GET /api/tasks/{id}` has its details.
    pub error: Option<ErrorCode>,
    /// Number of warnings in its `report`, about lost media and options that could not be applied.
    pub warnings: i32,
}

/// The progress of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Percent {
    /// 0 to 100.
    pub percent: u8,
}

/// The code of the error of a failed task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorCode {
    /// A stable code from the table of errors.
    #[schema(example = "source_damaged")]
    pub code: String,
}

/// A task with its source, outputs and report.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    /// The same as `id`.
    pub task_id: i64,
    /// The id of the task.
    pub id: i64,
    /// The id of its video; null while the video of a task from before there were videos is not created yet.
    pub video_id: Option<i64>,
    /// The same as `created_at`.
    pub timestamp: DateTime<Utc>,
    /// The status of the task.
    pub status: Status,
    /// Logical key: `YYYY/MM/DD/{id}_{name}`.
    #[schema(example = "2026/01/31/7_clip.mp4")]
    pub file_path: String,
    /// Signed links that expire, one per output, the main output first; empty until processed.
    pub download: Vec<String>,
    /// The preset of the task; null when it was created with a recipe.
    pub preset: Option<String>,
    /// The recipe of the task.
    #[schema(value_type = Recipe)]
    pub recipe: Value,
    /// The file name as given by the user.
    pub display_name: String,
    /// The uploaded file.
    pub source: SourceView,
    /// The progress of the task.
    pub progress: ProgressView,
    /// The error of a failed task; null otherwise.
    pub error: Option<ErrorView>,
    /// The outputs in the order of the recipe; empty until processed.
    pub outputs: Vec<OutputView>,
    /// Number of the latest attempt.
    pub attempt: i32,
    /// Number of failed attempts.
    pub failures: i32,
    /// Time of the upload or of the retry request.
    pub created_at: DateTime<Utc>,
    /// Start of the latest attempt; null before the first one.
    pub started_at: Option<DateTime<Utc>>,
    /// Time at which the task reached a final status; null before.
    pub finished_at: Option<DateTime<Utc>>,
    /// The report: what was done per output, with warnings and cost; null before the first attempt has ended.
    #[schema(value_type = Option<TaskReport>)]
    pub report: Option<StoredReport>,
}

/// A report as the version that made it has stored it. It is shown unchanged and read only where it is needed, so that
/// a report of another version makes no task unreadable.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoredReport(pub Box<RawValue>);

impl StoredReport {
    /// Reads the report. Absent and unknown fields are accepted.
    ///
    /// # Errors
    /// A field has a value that this version does not know.
    pub fn read(&self) -> Result<TaskReport, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }
}

/// The uploaded file. Facts that need a probe are null until it was probed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceView {
    /// Size in bytes.
    pub bytes: i64,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
    /// Duration in milliseconds.
    pub duration_ms: Option<u64>,
    /// Display width: after rotation, with square pixels.
    pub width_px: Option<u32>,
    /// Display height.
    pub height_px: Option<u32>,
    /// FFmpeg's name of the video codec; null without video.
    #[schema(example = "h264")]
    pub video_codec: Option<String>,
    /// FFmpeg's name of the audio codec; null without audio.
    #[schema(example = "aac")]
    pub audio_codec: Option<String>,
}

/// The progress of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProgressView {
    /// 0 to 100.
    pub percent: u8,
    /// `probe`, `transcode`, `verify` or `store`; null while no worker processes the task.
    pub phase: Option<String>,
    /// Estimated remaining time in seconds; null when unknown.
    pub eta_s: Option<u64>,
    /// Processed frames per second.
    pub fps: Option<f32>,
    /// Processed seconds of media per second.
    pub speed: Option<f32>,
}

/// The error of a failed task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ErrorView {
    /// A stable code from the table of errors.
    #[schema(example = "source_damaged")]
    pub code: String,
    /// A sentence for users, in the language of the reply.
    pub message: String,
    /// The value that caused the error.
    pub detail: Option<String>,
    /// True when `POST /api/tasks/{id}/retry` may succeed, because the source is not the cause.
    pub retryable: bool,
}

/// An output of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OutputView {
    /// The file name, or the name of a set of files.
    #[schema(example = "video.mp4")]
    pub name: String,
    /// The `kind` of the recipe.
    #[schema(example = "mp4")]
    pub kind: String,
    /// The media type; of a set of files, that of its entry file.
    #[schema(example = "video/mp4")]
    pub media_type: String,
    /// Size in bytes; of a set, the sum of all files.
    pub bytes: i64,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
    /// Width in pixels; null for audio.
    pub width_px: Option<i32>,
    /// Height in pixels; null for audio.
    pub height_px: Option<i32>,
    /// Duration in milliseconds; null for stills.
    pub duration_ms: Option<i64>,
    /// A signed link that expires.
    pub url: String,
}

/// The removed task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Removed {
    /// A sentence for users, in the language of the reply.
    pub message: String,
    /// The logical key of the task.
    pub file: String,
    /// The id of the task.
    #[serde(rename = "Task")]
    pub task: i64,
}
