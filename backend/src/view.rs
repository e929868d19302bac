//! Tasks as clients see them. Rows of `entity` are never serialized themselves, so that a new column does not become
//! part of the API by accident.

mod plan;

pub(crate) use plan::plan_view;

use api::events::TaskProgressView;
use api::tasks::{
    ErrorCode, ErrorView, OutputView, Percent, ProgressView, SourceView, StoredReport, TaskItem, TaskView,
};
use domain::protocol::Progress;
use domain::{FailureClass, Language, Probe, Status, VideoId};
use entity::{output, source, task};
use serde::Deserialize;
use serde_json::Value;

/// Version of the form of [`task_view`]. Raise it with each change of the JSON or of its sentences; otherwise clients
/// keep the old form of a task that does not change any more.
pub(crate) const VIEW_VERSION: u8 = 3;

/// A task as a list shows it.
pub(crate) fn task_item(task: task::TaskSummary) -> TaskItem {
    let percent = progress(task.status, task.progress.as_ref()).percent;
    let status = Status::from(task.status);
    let error = task.error_code.filter(|_| status == Status::Failed);
    TaskItem {
        task_id: task.id,
        id: task.id,
        status,
        preset: task.preset,
        display_name: task.display_name,
        created_at: task.timestamp,
        finished_at: task.finished_at,
        progress: Percent { percent },
        error: error.map(|code| ErrorCode { code }),
        warnings: task.warnings,
    }
}

/// A task with its source, outputs and report; `link` signs the link of an output.
pub(crate) fn task_view(
    whole: task::TaskDetails,
    language: Language,
    link: impl Fn(&task::Model, &output::Model) -> String,
) -> TaskView {
    let task::TaskDetails {
        task,
        source,
        video,
        outputs,
    } = whole;
    let urls: Vec<String> = outputs.iter().map(|output| link(&task, output)).collect();
    TaskView {
        task_id: task.id,
        id: task.id,
        video_id: video.map(|VideoId(id)| id),
        timestamp: task.timestamp,
        status: task.status.into(),
        source: source_view(source),
        progress: progress(task.status, task.progress.as_ref()),
        error: error_view(&task, language),
        outputs: outputs
            .into_iter()
            .zip(&urls)
            .map(|(output, url)| output_view(output, url.clone()))
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
        report: task.report.map(|report| StoredReport(report.into_text())),
    }
}

fn source_view(source: source::Model) -> SourceView {
    let probe: Option<Probe> = source.probe.and_then(|probe| probe.read().ok());
    let video = probe.as_ref().and_then(Probe::main_video);
    let size = video.map(|(_, facts)| facts.display_size());
    SourceView {
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

/// The progress of a task from its status and the latest message of its worker.
fn progress(status: task::TaskStatus, stored: Option<&Value>) -> ProgressView {
    match Status::from(status) {
        Status::Processed => ProgressView {
            percent: 100,
            ..ProgressView::default()
        },
        Status::Processing => {
            let progress = stored.and_then(|progress| Progress::deserialize(progress).ok());
            let progress = progress.unwrap_or_default();
            ProgressView {
                percent: progress.percent.min(100),
                phase: Some(progress.phase.as_str().to_owned()),
                eta_s: progress.eta_s,
                fps: Some(progress.fps),
                speed: Some(progress.speed),
            }
        }
        Status::Uploaded | Status::Failed | Status::Canceled => ProgressView::default(),
    }
}

/// The progress of a task in a stream of events.
pub(crate) fn progress_message(task: &task::TaskProgress) -> TaskProgressView {
    TaskProgressView {
        task_id: task.id,
        id: task.id,
        status: task.status.into(),
        attempt: task.attempt,
        progress: progress(task.status, task.progress.as_ref()),
    }
}

/// Returns status, attempt and whole percent of a task, as text: the parts of its progress that are worth a reply to a
/// client that waits.
pub(crate) fn progress_state(task: &task::Model) -> String {
    let percent = progress(task.status, task.progress.as_ref()).percent;
    format!("{}-{}-{percent}", Status::from(task.status).as_str(), task.attempt)
}

/// The error of a failed task; `None` for any other.
fn error_view(task: &task::Model, language: Language) -> Option<ErrorView> {
    let code = task::error_code(task).filter(|_| Status::from(task.status) == Status::Failed)?;
    Some(ErrorView {
        code: code.as_str().to_owned(),
        message: code.sentence(language).to_owned(),
        detail: task.error_detail.clone(),
        retryable: code.class().is_some_and(FailureClass::is_retryable),
    })
}

fn output_view(output: output::Model, url: String) -> OutputView {
    OutputView {
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
