//! Creates tasks from uploaded forms.

use crate::AppState;
use crate::error::Error;
use crate::extract::Principal;
use crate::idempotency::{Created, IdempotencyKey, IdempotencyKeyHeader};
use crate::openapi::problems;
use crate::upload::TaskBody;
use api::uploads::Uploaded;
use app::uploads;
use axum::extract::State;
use domain::VideoId;
use entity::task;
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
    IdempotencyKeyInvalid, TokenMissing, TokenInvalid, TokenExpired, UploadNotFound, RequestTimeout, IdempotencyKeyInUse,
    UploadUnfinished, UploadUsed, UploadInterrupted, UploadTooLarge, BodyTooLarge, NotMedia,
    ContentTypeUnsupported, IdempotencyKeyReused, TaskTooLarge, Unavailable, StorageFull);

/// Uploads a video and creates a task.
///
/// The file is in the form, or in a resumable upload that is complete (`POST /api/uploads`). The parts of the form may
/// come in any order. The task then waits for a worker: poll `GET /api/tasks/{id}` until its `status` is `processed`,
/// `failed` or `canceled`.
#[utoipa::path(post, operation_id = "create_task", path = "/tasks", tag = "tasks", params(IdempotencyKeyHeader), security(("bearer" = [])),
    request_body(content = UploadForm, content_type = "multipart/form-data",
        description = "The video or a resumable upload, and a preset or a recipe. Without a file, the form may also be JSON"),
    responses((status = 201, description = "The task waits for a worker", body = Uploaded), UploadProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    principal: Principal,
    key: IdempotencyKey,
    body: TaskBody,
) -> Result<Created<Uploaded>, Error> {
    let work = async |body: TaskBody, guard| {
        let upload = body.receive(&state, principal.account).await?;
        let created = uploads::finish(&state.app, principal.account, upload, guard, uploaded).await?;
        state.app.library.wait_for_newest().await;
        Ok::<_, Error>(created)
    };
    let outcome = key
        .of(principal)
        .once(&state.app, body, TaskBody::fingerprint, work)
        .await;
    outcome.map(Created)
}
