//! Creates tasks from forms, uploads and URLs, and shows uploads.

use crate::AppState;
use crate::error::Error;
use crate::extract::{Principal, Sender, UploadPath};
use crate::idempotency::{Accepted, Created, IdempotencyKey, IdempotencyKeyHeader};
use crate::openapi::problems;
use crate::upload::{FileBody, SourceUrl, TaskBody};
use crate::view::task_item;
use api::uploads::{UploadError, UploadTask, UploadView, Uploaded};
use app::uploads::{self, fetched};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::VideoId;
use entity::task::TaskSummary;
use entity::{fetch, task, upload};
use utoipa::ToSchema;

/// The form of a new task, with a `file` or an `upload_id`. The parts may come in any order.
#[derive(ToSchema)]
#[allow(
    dead_code,
    reason = "describes the form in the OpenAPI document; `TaskBody` reads it"
)]
pub(crate) struct UploadForm {
    /// The video; the part may also be called `video` or `fileName`.
    #[schema(required = false, value_type = String, format = Binary)]
    file: Option<Vec<u8>>,
    /// The id of a resumable upload that is complete, instead of a file.
    #[schema(nullable = false, example = "")]
    upload_id: Option<String>,
    /// The name of a preset; not together with `recipe`. If both are absent or empty, the default preset is used.
    #[schema(nullable = false, example = "")]
    preset: Option<String>,
    /// A recipe as JSON of at most 64 KiB; not together with `preset`. Empty counts as absent.
    #[schema(nullable = false)]
    recipe: Option<domain::Recipe>,
    /// A URL (`http` or `https`) to which the events of the task are sent as webhooks. Empty counts as absent.
    #[schema(nullable = false, example = "")]
    webhook_url: Option<String>,
}

pub(crate) fn uploaded(task: &task::Model, VideoId(video): VideoId) -> Uploaded {
    Uploaded {
        message: format!("Video {} uploaded", task.file_path),
        task_id: task.id,
        id: task.id,
        video_id: Some(video),
        status: task.status.into(),
        file_path: task.file_path.clone(),
        preset: task.preset.clone(),
        display_name: task.display_name.clone(),
        created_at: task.timestamp,
    }
}

problems!(UploadProblems: FileMissing, FileEmpty, MultipartInvalid, RequestInvalid, JsonInvalid, PartUnknown, PresetUnknown, PresetAndRecipe, RecipeInvalid,
    SourceUrlInvalid, SourceUrlForbidden, SourceHeadersInvalid, WebhookUrlInvalid, WebhookUrlForbidden, IdempotencyKeyInvalid, TokenMissing, TokenInvalid, TokenExpired,
    UploadNotFound, RequestTimeout, IdempotencyKeyInUse, UploadsTooMany, UploadUnfinished, UploadUsed, UploadPurposeWrong, UploadInterrupted, UploadTooLarge, BodyTooLarge, NotMedia,
    ContentTypeUnsupported, IdempotencyKeyReused, TaskTooLarge, SealingUnavailable, Unavailable, StorageFull);

problems!(ShowProblems: TokenMissing, TokenInvalid, TokenExpired, UploadNotFound, GuestLinkRevoked, Unavailable);

/// An upload with its fetch, if a worker fetches its file.
fn upload_view(upload: &upload::Model, fetch: Option<&fetch::Model>) -> UploadView {
    let (code, detail) = fetch.map_or((&upload.error_code, &upload.error_detail), |fetch| {
        (&fetch.error_code, &fetch.error_detail)
    });
    UploadView {
        upload_id: upload.id.clone(),
        status: upload.status(fetch),
        file_name: upload.file_name.clone(),
        received_bytes: upload.received_bytes,
        length_bytes: upload.length_bytes,
        task_id: upload.task_id,
        error: code.clone().map(|code| UploadError {
            code,
            detail: detail.clone(),
        }),
        task: None,
        expires_at: upload.expires_at().into(),
    }
}

/// Uploads a video and creates a task, or fetches it from a URL.
///
/// The file is in the form, or in an upload that is complete (`POST /api/uploads`). The parts of the form may come in
/// any order. The task then waits for a worker: poll `GET /api/tasks/{id}` until its `status` is `processed`, `failed`
/// or `canceled`. With a `source_url`, a worker fetches the file and creates the task then: poll
/// `GET /api/uploads/{id}` until there is a `task_id`, or until `status` is `failed`.
#[utoipa::path(post, operation_id = "create_task", path = "/tasks", tag = "tasks", params(IdempotencyKeyHeader), security(("bearer" = [])),
    request_body(content = UploadForm, content_type = "multipart/form-data",
        description = "The video or an upload, and a preset or a recipe. Without a file, the body may also be JSON, as in the schema `NewTaskBody`: with an upload or a URL"),
    responses((status = 201, description = "The task waits for a worker", body = Uploaded),
        (status = 202, description = "A worker will fetch the file", body = UploadView), UploadProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    principal: Principal,
    key: IdempotencyKey,
    body: TaskBody,
) -> Result<Response, Error> {
    let (app, account) = (&state.app, principal.account);
    let request = key.of(principal);
    match body {
        TaskBody::File(body) => {
            let work = async |body: FileBody, guard| {
                let upload = body.receive(&state, account).await?;
                let created = uploads::finish(app, account, upload, guard, uploaded).await?;
                app.library.wait_for_newest().await;
                Ok::<_, Error>(created)
            };
            let outcome = request.once(app, body, FileBody::fingerprint, work).await?;
            Ok(Created(outcome).into_response())
        }
        TaskBody::Fetch(url) => {
            let fingerprint = async |url: SourceUrl| url.fingerprint();
            let work = async |url: SourceUrl, guard| {
                let new = url.receive(&state, account).await?;
                let created = fetched::create(app, account, new, guard, |upload| upload_view(upload, None));
                Ok::<_, Error>(created.await?)
            };
            let outcome = request.once(app, url, fingerprint, work).await?;
            Ok(Accepted(outcome).into_response())
        }
    }
}

/// Shows an upload.
///
/// How many bytes of it are stored, and the task that was created from it. Tells the progress of a file that is fetched
/// from a URL, and why it could not be fetched.
#[utoipa::path(get, operation_id = "get_upload", path = "/uploads/{id}", tag = "uploads",
    params(("id" = String, Path, description = "The id of the upload")), security(("bearer" = []), ("guest" = [])),
    responses((status = 200, description = "The upload", body = UploadView), ShowProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    sender: Sender,
    UploadPath(id): UploadPath,
) -> Result<Json<UploadView>, Error> {
    let shown = uploads::show(&state.app, &sender.uploader(), &id).await?;
    let view = upload_view(&shown.upload, shown.fetch.as_ref());
    Ok(Json(match sender {
        Sender::Account(_) => view,
        Sender::Guest(_) => UploadView {
            task_id: None,
            task: shown.task.map(guest_task),
            // The detail names things of the account.
            error: view.error.map(|error| UploadError { detail: None, ..error }),
            ..view
        },
    }))
}

/// The task of a guest's file: its progress, and nothing of the account.
fn guest_task(task: TaskSummary) -> UploadTask {
    let item = task_item(task);
    UploadTask {
        status: item.status,
        progress: item.progress,
        error: item.error,
    }
}
