//! How a task is made: the file into storage, its rows into the database, a wake-up for the workers.

use crate::AppState;
use crate::choice::check_names;
use crate::error::Error;
use crate::extract::CurrentUser;
use crate::once::{Hold, Once, OnceHeader, Turn};
use crate::openapi::problems;
use crate::routes::plan::check_amount;
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

/// The form of an upload; its parts come in any order.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only described, never built: the form is read as it comes")]
pub(crate) struct UploadForm {
    /// The video; the part may also be called `video` or `fileName`.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// The name of a preset; not together with `recipe`. Absent or empty, and without a `recipe`: the default one.
    #[schema(nullable = false, example = "")]
    preset: Option<String>,
    /// What is to be done, as JSON of at most 64 KiB; not together with `preset`. Empty counts as absent.
    #[schema(nullable = false)]
    recipe: Option<domain::Recipe>,
}

/// A new task.
#[derive(Serialize, ToSchema)]
pub(crate) struct Uploaded {
    /// A sentence for people.
    #[schema(example = "Video 2026/01/31/7_clip.mp4 uploaded")]
    message: String,
    /// The same as `id`.
    task_id: i64,
    /// The number of the task.
    id: i64,
    /// Where it stands: `uploaded`.
    #[schema(value_type = Status)]
    status: &'static str,
    /// Logical key: `YYYY/MM/DD/{id}_{name}`.
    file_path: String,
    /// The preset it is made from; null for a recipe of its own.
    preset: Option<String>,
    /// The file name as its user gave it.
    display_name: String,
    /// When it was uploaded.
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

/// Takes a video and makes a task of it.
///
/// The file is stored while it arrives; its parts may come in any order. The task then waits for a worker: ask for it with
/// `GET /api/tasks/{id}` until its `status` is `processed`, `failed` or `canceled`.
#[utoipa::path(post, operation_id = "create_task", path = "/api/tasks", tag = "tasks", params(OnceHeader), security(("bearer" = [])),
    request_body(content = UploadForm, content_type = "multipart/form-data", description = "The video, and what is to be done with it"),
    responses((status = 201, description = "The task waits for a worker", body = Uploaded), UploadProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    once: Once,
    form: Form,
) -> Result<Response, Error> {
    match once.turn(&state, user).await? {
        Turn::Again(kept) => kept.replay(&form.mark().await?),
        Turn::First(hold) => {
            let made = make(state, user, form, hold.clone()).await;
            hold.settle(made).await
        }
    }
}

async fn make(state: AppState, user: UserId, form: Form, hold: Hold) -> Result<Uploaded, Error> {
    let upload = form.receive(&state, user).await?;
    // On its own: a client that hangs up now cannot leave the work half recorded.
    let recorded = tokio::spawn(async move { record(&state, user, upload, &hold).await }.in_current_span());
    recorded.await.context("an upload was not recorded")?
}

/// The rows of an upload, in one transaction; without them the file goes too.
async fn record(state: &AppState, user: UserId, upload: Upload, hold: &Hold) -> Result<Uploaded, Error> {
    let Upload {
        display_name,
        safe_name,
        source: file,
        choice,
        mark,
    } = upload;
    let facts = source::New {
        key: file.key(),
        bytes: file.stored().bytes,
        sha256: file.stored().sha256.clone(),
    };
    let sha256 = facts.sha256.clone();
    let checked = async {
        let chosen = choice.settle(&state.config.default_preset)?;
        // Of the same bytes the account may have uploaded before, it is known what is in them.
        let probe = source::known_probe(&state.db, user, &sha256).await?;
        check_amount(state, user, &chosen.recipe, probe.as_ref()).await?;
        Ok::<_, Error>(chosen)
    };
    let written = async {
        // Before the transaction, which would wait for it with the account's row locked.
        let chosen = checked.await?;
        entity::user::write(&state.db, user, async |db| {
            check_names(db, user, &chosen.recipe).await?;
            let stored = source::create(db, user, facts).await?;
            let new = task::New {
                source_id: stored.id,
                display_name,
                safe_name,
                preset: chosen.preset,
                recipe: serde_json::to_value(chosen.recipe).context("failed to store a recipe")?,
            };
            let task = task::create(db, user, new).await?;
            let reply = Uploaded::from(&task);
            hold.finish(db, &mark, &reply).await?;
            Ok::<_, Error>((task, reply))
        })
        .await
    };
    let (task, reply) = file.settle(written).await?;
    tracing::info!(task.id = task.id, "uploaded");
    wake(state, &task).await;
    Ok(reply)
}
