//! The JSON representation of tasks. Rows of `entity` are never serialized themselves, so that a new column does not
//! become part of the API by accident.

mod plan;

pub(crate) use plan::PlanView;

use chrono::{DateTime, Utc};
use domain::protocol::Progress;
use domain::{Language, Probe, Status};
use entity::{RawJson, output, source, task};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A task in a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskItem {
    /// The same as `id`.
    task_id: i64,
    /// The id of the task.
    id: i64,
    /// The status of the task.
    #[schema(value_type = Status)]
    status: &'static str,
    /// The preset of the task; null when it was created with a recipe.
    preset: Option<String>,
    /// The file name as given by the user.
    display_name: String,
    /// Time of the upload or of the retry request.
    created_at: DateTime<Utc>,
    /// Time at which the task reached a final status; null before.
    finished_at: Option<DateTime<Utc>>,
    /// The progress of the task.
    progress: Percent,
    /// The error of a failed task; null otherwise. `GET /api/tasks/{id}` has its details.
    error: Option<ErrorCode>,
    /// Number of warnings in its `report`, about lost media and options that could not be applied.
    warnings: i32,
}

/// The progress of a task.
#[derive(Serialize, ToSchema)]
pub(crate) struct Percent {
    /// 0 to 100.
    percent: u8,
}

/// The code of the error of a failed task.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorCode {
    /// A stable code from the table of errors.
    #[schema(example = "source_damaged")]
    code: String,
}

/// A task with its source, outputs and report.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskView {
    /// The same as `id`.
    task_id: i64,
    /// The id of the task.
    id: i64,
    /// The same as `created_at`.
    timestamp: DateTime<Utc>,
    /// The status of the task.
    #[schema(value_type = Status)]
    status: &'static str,
    /// Logical key: `YYYY/MM/DD/{id}_{name}`.
    #[schema(example = "2026/01/31/7_clip.mp4")]
    file_path: String,
    /// Signed links that expire, one per output, the main output first; empty until processed.
    download: Vec<String>,
    /// The preset of the task; null when it was created with a recipe.
    preset: Option<String>,
    /// The recipe of the task.
    #[schema(value_type = domain::Recipe)]
    recipe: Value,
    /// The file name as given by the user.
    display_name: String,
    /// The uploaded file.
    source: SourceView,
    /// The progress of the task.
    progress: ProgressView,
    /// The error of a failed task; null otherwise.
    error: Option<ErrorView>,
    /// The outputs in the order of the recipe; empty until processed.
    outputs: Vec<OutputView>,
    /// Number of the latest attempt.
    attempt: i32,
    /// Number of failed attempts.
    failures: i32,
    /// Time of the upload or of the retry request.
    created_at: DateTime<Utc>,
    /// Start of the latest attempt; null before the first one.
    started_at: Option<DateTime<Utc>>,
    /// Time at which the task reached a final status; null before.
    finished_at: Option<DateTime<Utc>>,
    /// The report: what was done per output, with warnings and cost; null before the first attempt has ended.
    #[schema(value_type = Option<Object>)]
    report: Option<RawJson>,
}

/// The uploaded file. Facts that need a probe are null until it was probed.
#[derive(Serialize, ToSchema)]
pub(crate) struct SourceView {
    /// Size in bytes.
    bytes: i64,
    /// SHA-256 of the file, 64 hexadecimal digits.
    sha256: String,
    /// Duration in milliseconds.
    duration_ms: Option<u64>,
    /// Display width: after rotation, with square pixels.
    width_px: Option<u32>,
    /// Display height.
    height_px: Option<u32>,
    /// FFmpeg's name of the video codec; null without video.
    #[schema(example = "h264")]
    video_codec: Option<String>,
    /// FFmpeg's name of the audio codec; null without audio.
    #[schema(example = "aac")]
    audio_codec: Option<String>,
}

/// The progress of a task.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct ProgressView {
    /// 0 to 100.
    percent: u8,
    /// `probe`, `transcode`, `verify` or `store`; null while no worker processes the task.
    phase: Option<&'static str>,
    /// Estimated remaining time in seconds; null when unknown.
    eta_s: Option<u64>,
    /// Processed frames per second.
    fps: Option<f32>,
    /// Processed seconds of media per second.
    speed: Option<f32>,
}

/// The error of a failed task.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorView {
    /// A stable code from the table of errors.
    #[schema(example = "source_damaged")]
    code: String,
    /// A sentence for users, in the language of the reply.
    message: &'static str,
    /// The value that caused the error.
    detail: Option<String>,
    /// True when `POST /api/tasks/{id}/retry` may succeed, because the source is not the cause.
    retryable: bool,
}

/// An output of a task.
#[derive(Serialize, ToSchema)]
pub(crate) struct OutputView {
    /// The file name, or the name of a set of files.
    #[schema(example = "video.mp4")]
    name: String,
    /// The `kind` of the recipe.
    #[schema(example = "mp4")]
    kind: String,
    /// The media type; of a set of files, that of its entry file.
    #[schema(example = "video/mp4")]
    media_type: String,
    /// Size in bytes; of a set, the sum of all files.
    bytes: i64,
    /// SHA-256 of the file, 64 hexadecimal digits.
    sha256: String,
    /// Width in pixels; null for audio.
    width_px: Option<i32>,
    /// Height in pixels; null for audio.
    height_px: Option<i32>,
    /// Duration in milliseconds; null for stills.
    duration_ms: Option<i64>,
    /// A signed link that expires.
    url: String,
}

impl From<task::TaskSummary> for TaskItem {
    fn from(task: task::TaskSummary) -> Self {
        let percent = ProgressView::of(task.status, task.progress.as_ref()).percent;
        let status = Status::from(task.status);
        let error = task.error_code.filter(|_| status == Status::Failed);
        Self {
            task_id: task.id,
            id: task.id,
            status: status.as_str(),
            preset: task.preset,
            display_name: task.display_name,
            created_at: task.timestamp,
            finished_at: task.finished_at,
            progress: Percent { percent },
            error: error.map(|code| ErrorCode { code }),
            warnings: task.warnings,
        }
    }
}

impl TaskView {
    /// Builds the view; `link` signs the link of an output.
    pub(crate) fn new(
        whole: task::TaskDetails,
        language: Language,
        link: impl Fn(&task::Model, &output::Model) -> String,
    ) -> Self {
        let task::TaskDetails { task, source, outputs } = whole;
        let urls: Vec<String> = outputs.iter().map(|output| link(&task, output)).collect();
        Self {
            task_id: task.id,
            id: task.id,
            timestamp: task.timestamp,
            status: Status::from(task.status).as_str(),
            source: source.into(),
            progress: ProgressView::of(task.status, task.progress.as_ref()),
            error: ErrorView::of(&task, language),
            outputs: outputs
                .into_iter()
                .zip(&urls)
                .map(|(output, url)| OutputView::new(output, url.clone()))
                .collect(),
            file_path: task.file_path,
            download: urls,
            preset: task.preset,
            recipe: task.recipe,
            display_name: task.display_name,
            attempt: task.attempt,
            failures: task.failures,
            created_at: task.timestamp,
            started_at: task.started_at,
            finished_at: task.finished_at,
            report: task.report,
        }
    }
}

impl From<source::Model> for SourceView {
    fn from(source: source::Model) -> Self {
        let probe: Option<Probe> = source.probe.and_then(|probe| probe.read().ok());
        let video = probe.as_ref().and_then(Probe::main_video);
        let size = video.map(|(_, facts)| facts.display_size());
        Self {
            bytes: source.bytes,
            sha256: source.sha256,
            duration_ms: probe.as_ref().map(|probe| (probe.duration_us + 500) / 1_000),
            width_px: size.map(|size| size.width_px),
            height_px: size.map(|size| size.height_px),
            video_codec: video.map(|(stream, _)| stream.codec.clone()),
            audio_codec: probe
                .as_ref()
                .and_then(Probe::main_audio)
                .map(|(stream, _)| stream.codec.clone()),
        }
    }
}

impl ProgressView {
    /// The progress of a task from its status and the latest message of its worker.
    fn of(status: task::TaskStatus, stored: Option<&Value>) -> Self {
        match Status::from(status) {
            Status::Processed => Self {
                percent: 100,
                ..Self::default()
            },
            Status::Processing => {
                let progress = stored.and_then(|progress| Progress::deserialize(progress).ok());
                progress.unwrap_or_default().into()
            }
            Status::Uploaded | Status::Failed | Status::Canceled => Self::default(),
        }
    }
}

/// Status and whole percent of a task, as text: the parts of its progress that are worth a reply to a client that
/// waits.
pub(crate) fn progress_state(task: &task::Model) -> String {
    let percent = ProgressView::of(task.status, task.progress.as_ref()).percent;
    format!("{}-{percent}", Status::from(task.status).as_str())
}

impl From<Progress> for ProgressView {
    fn from(progress: Progress) -> Self {
        Self {
            percent: progress.percent.min(100),
            phase: Some(progress.phase.as_str()),
            eta_s: progress.eta_s,
            fps: Some(progress.fps),
            speed: Some(progress.speed),
        }
    }
}

impl ErrorView {
    fn of(task: &task::Model, language: Language) -> Option<Self> {
        let code = task::error_code(task).filter(|_| Status::from(task.status) == Status::Failed)?;
        Some(Self {
            code: code.as_str().to_owned(),
            message: code.sentence(language),
            detail: task.error_detail.clone(),
            retryable: code.status() >= 500,
        })
    }
}

impl OutputView {
    fn new(output: output::Model, url: String) -> Self {
        Self {
            name: output.name,
            kind: output.kind,
            media_type: output.media_type,
            bytes: output.bytes,
            sha256: output.sha256,
            width_px: output.width_px,
            height_px: output.height_px,
            duration_ms: output.duration_ms,
            url,
        }
    }
}
