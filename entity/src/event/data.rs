//! The data of events: the subject in the form in which the API shows it in lists (`api::tasks::TaskItem`,
//! `api::uploads::UploadView`, `api::events::VideoItem`, `api::imports::ImportView`, `api::events::DisabledWebhook`).
//! Tests compare the two. The form is written here, because an event is stored with its change, and delivered later as
//! it is stored.

use crate::task::TaskSummary;
use crate::{fetch, import, upload, video};
use chrono::{DateTime, Utc};
use domain::manifest::ImportStatus;
use domain::{Status, UploadStatus, Visibility};
use serde::Serialize;

/// A task.
#[derive(Serialize)]
pub(super) struct TaskData {
    task_id: i64,
    id: i64,
    status: Status,
    preset: Option<String>,
    display_name: String,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    progress: Percent,
    error: Option<ErrorCode>,
    warnings: i32,
}

#[derive(Serialize)]
struct Percent {
    percent: u64,
}

#[derive(Serialize)]
struct ErrorCode {
    code: String,
}

impl TaskData {
    pub(super) fn of(task: TaskSummary) -> Self {
        let status = Status::from(task.status);
        let stored = task.progress.as_ref().and_then(|progress| progress["percent"].as_u64());
        let percent = match status {
            Status::Processed => 100,
            Status::Processing => stored.unwrap_or_default().min(100),
            Status::Uploaded | Status::Failed | Status::Canceled => 0,
        };
        let code = task.error_code.filter(|_| status == Status::Failed);
        Self {
            task_id: task.id,
            id: task.id,
            status,
            preset: task.preset,
            display_name: task.display_name,
            created_at: task.timestamp,
            finished_at: task.finished_at,
            progress: Percent { percent },
            error: code.map(|code| ErrorCode { code }),
            warnings: task.warnings,
        }
    }
}

/// An upload that a worker fetches or a guest sends.
#[derive(Serialize)]
pub(super) struct UploadData {
    upload_id: String,
    status: UploadStatus,
    file_name: String,
    received_bytes: i64,
    length_bytes: Option<i64>,
    task_id: Option<i64>,
    error: Option<UploadError>,
    expires_at: DateTime<Utc>,
}

#[derive(Serialize)]
struct UploadError {
    code: String,
    detail: Option<String>,
}

impl UploadData {
    pub(super) fn of(upload: upload::Model, fetch: Option<fetch::Model>) -> Self {
        let (status, expires_at) = (upload.status(fetch.as_ref()), upload.expires_at());
        let (code, detail) = fetch.map_or((upload.error_code, upload.error_detail), |fetch| {
            (fetch.error_code, fetch.error_detail)
        });
        Self {
            status,
            expires_at: expires_at.into(),
            upload_id: upload.id,
            file_name: upload.file_name,
            received_bytes: upload.received_bytes,
            length_bytes: upload.length_bytes,
            task_id: upload.task_id,
            error: code.map(|code| UploadError { code, detail }),
        }
    }
}

/// A video.
#[derive(Serialize)]
pub(super) struct VideoData {
    id: i64,
    title: String,
    external_id: Option<String>,
    visibility: Visibility,
    task_id: Option<i64>,
    published_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl VideoData {
    pub(super) fn of(video: &video::Model) -> Self {
        Self {
            id: video.id,
            title: video.title.clone(),
            external_id: video.external_id.clone(),
            visibility: video.visibility.into(),
            task_id: video.task_id,
            published_at: video.published_at,
            created_at: video.created_at,
            updated_at: video.updated_at,
        }
    }
}

/// An import.
#[derive(Serialize)]
pub(super) struct ImportData {
    id: i64,
    kind: String,
    status: ImportStatus,
    dry_run: bool,
    file_name: String,
    sha256: String,
    bytes: i64,
    bytes_read: i64,
    rows: ImportRows,
    lookup: ImportLookups,
    waiting_for_lookup: bool,
    error: Option<ImportError>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct ImportRows {
    total: i64,
    pending: i64,
    working: i64,
    created: i64,
    updated: i64,
    duplicate: i64,
    error: i64,
}

#[derive(Serialize)]
struct ImportLookups {
    found: i64,
    no_data: i64,
    failed: i64,
}

#[derive(Serialize)]
struct ImportError {
    code: String,
    detail: String,
}

impl ImportData {
    pub(super) fn of(import: import::Model) -> Self {
        let waiting_for_lookup = import.is_waiting_for_lookup();
        let detail = import.error_detail.unwrap_or_default();
        Self {
            lookup: ImportLookups {
                found: import.lookup_found,
                no_data: import.lookup_no_data,
                failed: import.lookup_failed,
            },
            waiting_for_lookup,
            id: import.id,
            kind: import.kind,
            status: import.status.into(),
            dry_run: import.is_dry_run,
            file_name: import.file_name,
            sha256: import.sha256,
            bytes: import.bytes,
            bytes_read: import.byte,
            rows: ImportRows {
                total: import.rows_read,
                pending: import.pending,
                working: import.working,
                created: import.created,
                updated: import.updated,
                duplicate: import.duplicate,
                error: import.error,
            },
            error: import.error_code.map(|code| ImportError { code, detail }),
            created_at: import.created_at,
            finished_at: import.finished_at,
        }
    }
}

/// A webhook that was disabled: an endpoint, or the URL of one task.
#[derive(Clone, Debug, Serialize)]
pub struct DisabledWebhook {
    /// The account.
    #[serde(skip)]
    pub owner: i64,
    /// The row of the endpoint, or of the secret for URLs of tasks.
    #[serde(skip)]
    pub subject: i64,
    /// The endpoint.
    pub webhook_id: Option<i64>,
    /// The task.
    pub task_id: Option<i64>,
    /// The URL.
    pub url: String,
    /// The message whose attempt was the reason.
    pub delivery_id: String,
    /// The time since which nothing is sent.
    pub disabled_at: DateTime<Utc>,
    /// The word of a `webhook::Reason`.
    pub disabled_reason: String,
}
