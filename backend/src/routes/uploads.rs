//! Creates tasks from uploaded forms.

use crate::AppState;
use crate::error::Error;
use crate::extract::Principal;
use crate::idempotency::{Created, IdempotencyKey, IdempotencyKeyHeader};
use crate::openapi::problems;
use crate::upload::Form;
use api::uploads::Uploaded;
use app::uploads;
use axum::extract::State;
use domain::VideoId;
use entity::task;
use utoipa::ToSchema;

/// The form of a video upload. The parts may come in any order.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the form in the OpenAPI document; `Form` reads it")]
pub(crate) struct UploadForm {
    /// The video; the part may also be called `video` or `fileName`.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// The name of a preset; not together with `recipe`. If both are absent or empty, the default preset is used.
    #[schema(nullable = false, example = "")]
    preset: Option<String>,
    /// A recipe as JSON of at most 64 KiB; not together with `preset`. Empty counts as absent.
    #[schema(nullable = false)]
    recipe: Option<domain::Recipe>,
}

fn uploaded(task: &task::Model, VideoId(video): VideoId) -> Uploaded {
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

problems!(UploadProblems: FileMissing, FileEmpty, MultipartInvalid, PartUnknown, PresetUnknown, PresetAndRecipe, RecipeInvalid,
    IdempotencyKeyInvalid, TokenMissing, TokenInvalid, TokenExpired, RequestTimeout, IdempotencyKeyInUse, UploadTooLarge, NotMedia,
    ContentTypeUnsupported, IdempotencyKeyReused, TaskTooLarge, Unavailable, StorageFull);

/// Uploads a video and creates a task.
///
/// The parts of the form may come in any order. The task then waits for a worker: poll `GET /api/tasks/{id}` until its
/// `status` is `processed`, `failed` or `canceled`.
#[utoipa::path(post, operation_id = "create_task", path = "/tasks", tag = "tasks", params(IdempotencyKeyHeader), security(("bearer" = [])),
    request_body(content = UploadForm, content_type = "multipart/form-data", description = "The video, and a preset or a recipe"),
    responses((status = 201, description = "The task waits for a worker", body = Uploaded), UploadProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    principal: Principal,
    key: IdempotencyKey,
    form: Form,
) -> Result<Created<Uploaded>, Error> {
    let work = async |form: Form, guard| {
        let upload = form.receive(&state, principal.account).await?;
        let created = uploads::finish(&state.app, principal.account, upload, guard, uploaded).await?;
        state.app.library.wait_for_newest().await;
        Ok::<_, Error>(created)
    };
    let outcome = key.of(principal).once(&state.app, form, Form::fingerprint, work).await;
    outcome.map(Created)
}
