//! Creates tasks from uploads: stores the file, creates the rows of the source and the task, and wakes a worker.

use crate::AppState;
use crate::error::Error;
use crate::extract::CurrentUser;
use crate::idempotency::{IdempotencyKey, IdempotencyKeyHeader, KeyGuard, KeyState};
use crate::openapi::problems;
use crate::recipe_choice::check_names;
use crate::routes::plan::check_task_size;
use crate::routes::tasks::wake;
use crate::upload::{Form, Upload};
use anyhow::Context as _;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use domain::Status;
use domain::UserId;
use entity::{source, task};
use serde::Serialize;
use tracing::Instrument;
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

/// A new task.
#[derive(Serialize, ToSchema)]
pub(crate) struct Uploaded {
    /// A sentence for users.
    #[schema(example = "Video 2026/01/31/7_clip.mp4 uploaded")]
    message: String,
    /// The same as `id`.
    task_id: i64,
    /// The id of the task.
    id: i64,
    /// The status of the task: `uploaded`.
    #[schema(value_type = Status)]
    status: &'static str,
    /// Logical key: `YYYY/MM/DD/{id}_{name}`.
    file_path: String,
    /// The preset of the task; null when it was created with a recipe.
    preset: Option<String>,
    /// The file name as given by the user.
    display_name: String,
    /// Time of the upload.
    created_at: DateTime<Utc>,
}

impl From<&task::Model> for Uploaded {
    fn from(task: &task::Model) -> Self {
        Self {
            message: format!("Video {} uploaded", task.file_path),
            task_id: task.id,
            id: task.id,
            status: Status::from(task.status).as_str(),
            file_path: task.file_path.clone(),
            preset: task.preset.clone(),
            display_name: task.display_name.clone(),
            created_at: task.timestamp,
        }
    }
}

problems!(UploadProblems: FileMissing, FileEmpty, MultipartInvalid, PartUnknown, PresetUnknown, PresetAndRecipe, RecipeInvalid,
    IdempotencyKeyInvalid, TokenMissing, TokenInvalid, TokenExpired, RequestTimeout, IdempotencyKeyInUse, UploadTooLarge, NotMedia,
    ContentTypeUnsupported, IdempotencyKeyReused, TaskTooLarge, Unavailable, StorageFull);

/// Uploads a video and creates a task.
///
/// The parts of the form may come in any order. The task then waits for a worker: poll `GET /api/tasks/{id}` until its
/// `status` is `processed`, `failed` or `canceled`.
#[utoipa::path(post, operation_id = "create_task", path = "/api/tasks", tag = "tasks", params(IdempotencyKeyHeader), security(("bearer" = [])),
    request_body(content = UploadForm, content_type = "multipart/form-data", description = "The video, and a preset or a recipe"),
    responses((status = 201, description = "The task waits for a worker", body = Uploaded), UploadProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    key: IdempotencyKey,
    form: Form,
) -> Result<Response, Error> {
    match key.acquire(&state, user).await? {
        KeyState::Replay(stored) => stored.replay(&form.fingerprint().await?),
        KeyState::Acquired(guard) => {
            let created = receive(state, user, form, guard.clone()).await;
            guard.complete(created).await
        }
    }
}

async fn receive(state: AppState, user: UserId, form: Form, guard: KeyGuard) -> Result<Uploaded, Error> {
    let upload = form.receive(&state, user).await?;
    // Spawned, so that a client that disconnects now does not cancel the transaction or the wake-up.
    let created = tokio::spawn(async move { create_task(&state, user, upload, &guard).await }.in_current_span());
    created.await.context("the task that records an upload panicked")?
}

/// Creates the rows of an upload in one transaction and wakes a worker. If the transaction fails, the file is removed.
async fn create_task(state: &AppState, user: UserId, upload: Upload, guard: &KeyGuard) -> Result<Uploaded, Error> {
    let Upload {
        display_name,
        safe_name,
        source: file,
        choice,
        fingerprint,
    } = upload;
    let new_source = source::New {
        key: file.key(),
        bytes: file.stored().bytes,
        sha256: file.stored().sha256.clone(),
    };
    let sha256 = new_source.sha256.clone();
    let checked = async {
        let resolved = choice.resolve(&state.config.default_preset)?;
        // If the account has uploaded the same bytes before, their probe is known.
        let probe = source::known_probe(&state.db, user, &sha256).await?;
        check_task_size(state, user, &resolved.recipe, probe.as_ref()).await?;
        Ok::<_, Error>(resolved)
    };
    let written = async {
        // Planned before the transaction, which holds a lock on the row of the account.
        let resolved = checked.await?;
        entity::user::write(&state.db, user, async |db| {
            check_names(db, user, &resolved.recipe).await?;
            let stored = source::create(db, user, new_source).await?;
            let new = task::New {
                source_id: stored.id,
                display_name,
                safe_name,
                preset: resolved.preset,
                recipe: serde_json::to_value(resolved.recipe).context("failed to serialize a recipe")?,
            };
            let task = task::create(db, user, new).await?;
            let reply = Uploaded::from(&task);
            guard.store_reply(db, &fingerprint, &reply).await?;
            Ok::<_, Error>((task, reply))
        })
        .await
    };
    let (task, reply) = file.commit(written).await?;
    tracing::info!(task.id = task.id, "uploaded");
    wake(state, &task).await;
    Ok(reply)
}
