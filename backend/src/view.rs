//! Tasks as clients see them. A row never leaves the service; a view of it does.

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
    /// The number of the task.
    id: i64,
    /// Where it stands.
    #[schema(value_type = Status)]
    status: &'static str,
    /// The preset it was made from; null for a recipe of its own.
    preset: Option<String>,
    /// The file name as its user gave it.
    display_name: String,
    /// When it was uploaded or asked for again.
    created_at: DateTime<Utc>,
    /// When it reached a final status; null before.
    finished_at: Option<DateTime<Utc>>,
    /// How far it is.
    progress: Percent,
    /// How many warnings its `report` has: what was lost, left out or done otherwise.
    warnings: i32,
}

/// How far a task is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Percent {
    /// 0 to 100.
    percent: u8,
}

/// A task with everything about it.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskView {
    /// The same as `id`.
    task_id: i64,
    /// The number of the task.
    id: i64,
    /// The same as `created_at`.
    timestamp: DateTime<Utc>,
    /// Where it stands.
    #[schema(value_type = Status)]
    status: &'static str,
    /// Logical key: `YYYY/MM/DD/{id}_{name}`.
    #[schema(example = "2026/01/31/7_clip.mp4")]
    file_path: String,
    /// Signed links that expire, one per output, the main one first; empty until processed.
    download: Vec<String>,
    /// The preset it was made from; null for a recipe of its own.
    preset: Option<String>,
    /// What was asked for.
    #[schema(value_type = domain::Recipe)]
    recipe: Value,
    /// The file name as its user gave it.
    display_name: String,
    /// The uploaded file.
    source: SourceView,
    /// How far it is.
    progress: ProgressView,
    /// Why it failed; null otherwise.
    error: Option<ErrorView>,
    /// The finished files, in the order of the recipe; empty until processed.
    outputs: Vec<OutputView>,
    /// Number of the latest try.
    attempt: i32,
    /// Tries that failed.
    failures: i32,
    /// When it was uploaded or asked for again.
    created_at: DateTime<Utc>,
    /// When the latest try began; null before the first.
    started_at: Option<DateTime<Utc>>,
    /// When it reached a final status; null before.
    finished_at: Option<DateTime<Utc>>,
    /// What was done, per output, with warnings and cost; null until there is one.
    #[schema(value_type = Option<Object>)]
    report: Option<RawJson>,
}

/// The uploaded file. What only a look inside can tell is null until then.
#[derive(Serialize, ToSchema)]
pub(crate) struct SourceView {
    /// Its size.
    bytes: i64,
    /// 64 hexadecimal digits.
    sha256: String,
    /// Its length in milliseconds.
    duration_ms: Option<u64>,
    /// Its width as shown: upright, with square pixels.
    width_px: Option<u32>,
    /// Its height as shown.
    height_px: Option<u32>,
    /// FFmpeg's name of the codec of its pictures; null without pictures.
    #[schema(example = "h264")]
    video_codec: Option<String>,
    /// FFmpeg's name of the codec of its sound; null without sound.
    #[schema(example = "aac")]
    audio_codec: Option<String>,
}

/// How far a task is.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct ProgressView {
    /// 0 to 100.
    percent: u8,
    /// `probe`, `transcode`, `verify` or `store`; null while nobody works on it.
    phase: Option<&'static str>,
    /// Seconds to go, when anybody knows.
    eta_s: Option<u64>,
    /// Frames per second.
    fps: Option<f32>,
    /// Media seconds per second.
    speed: Option<f32>,
}

/// Why a task failed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorView {
    /// A stable code of the table of errors.
    #[schema(example = "source_damaged")]
    code: String,
    /// The sentence for people.
    message: &'static str,
    /// The value that was wrong.
    detail: Option<String>,
    /// Whether `POST /api/tasks/{id}/retry` may help: the source is not at fault.
    retryable: bool,
}

/// A finished file.
#[derive(Serialize, ToSchema)]
pub(crate) struct OutputView {
    /// Its file name, or the name of its set.
    #[schema(example = "video.mp4")]
    name: String,
    /// The `kind` of the recipe.
    #[schema(example = "mp4")]
    kind: String,
    /// Its media type; that of the entry where it is a set of files.
    #[schema(example = "video/mp4")]
    media_type: String,
    /// Its size; that of all files of a set.
    bytes: i64,
    /// 64 hexadecimal digits.
    sha256: String,
    /// Its width in pixels; null for sound.
    width_px: Option<i32>,
    /// Its height in pixels; null for sound.
    height_px: Option<i32>,
    /// Its length in milliseconds; null for stills.
    duration_ms: Option<i64>,
    /// A signed link that expires.
    url: String,
}

impl From<task::Line> for TaskItem {
    fn from(task: task::Line) -> Self {
        let percent = ProgressView::of(task.status, task.progress.as_ref()).percent;
        Self {
            id: task.id,
            status: Status::from(task.status).as_str(),
            preset: task.preset,
            display_name: task.display_name,
            created_at: task.timestamp,
            finished_at: task.finished_at,
            progress: Percent { percent },
            warnings: task.warnings,
        }
    }
}

impl TaskView {
    /// The view; `link` makes the signed link of an output.
    pub(crate) fn new(
        whole: task::Whole,
        language: Language,
        link: impl Fn(&task::Model, &output::Model) -> String,
    ) -> Self {
        let task::Whole { task, source, outputs } = whole;
        let urls: Vec<String> = outputs.iter().map(|output| link(&task, output)).collect();
        Self {
            task_id: task.id,
            id: task.id,
            timestamp: task.timestamp,
            status: Status::from(task.status).as_str(),
            source: source.into(),
            progress: ProgressView::of(task.status, task.progress.as_ref()),
            error: ErrorView::of(&task, language),
            outputs: outputs.into_iter().zip(&urls).map(OutputView::from).collect(),
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
    fn of(status: task::TaskStatus, told: Option<&Value>) -> Self {
        match Status::from(status) {
            Status::Processed => Self {
                percent: 100,
                ..Self::default()
            },
            Status::Processing => {
                let told = told.and_then(|progress| Progress::deserialize(progress).ok());
                told.unwrap_or_default().into()
            }
            Status::Uploaded | Status::Failed | Status::Canceled => Self::default(),
        }
    }
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

impl From<(output::Model, &String)> for OutputView {
    fn from((output, url): (output::Model, &String)) -> Self {
        Self {
            name: output.name,
            kind: output.kind,
            media_type: output.media_type,
            bytes: output.bytes,
            sha256: output.sha256,
            width_px: output.width_px,
            height_px: output.height_px,
            duration_ms: output.duration_ms,
            url: url.clone(),
        }
    }
}
