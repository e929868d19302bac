//! Tasks: list, show, cancel, retry and remove. `uploads.rs` creates them.

mod page;

use crate::AppState;
use crate::error::Error;
use crate::extract::{BaseUrl, CurrentUser, Owned};
use crate::idempotency::{Fingerprint, IdempotencyKey, IdempotencyKeyHeader, KeyGuard, KeyState};
use crate::links::playing_time;
use crate::openapi::problems;
use crate::recipe_choice::check_names;
use crate::reply::SuccessMessage;
use crate::request_context::RequestContext;
use crate::routes::plan::check_task_size;
use crate::view::{TaskItem, TaskView};
use anyhow::Context as _;
use axum::Json;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::response::Response;
use chrono::Utc;
use domain::{Code, Language, Status, TaskId, UserId};
use entity::{output, source, task};
use page::{ListQuery, PAGE_MAX};
use serde::Serialize;
use std::convert::Infallible;
use storage::Target;
use utoipa::ToSchema;

/// A page of tasks.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskList {
    /// The tasks of this page.
    data: Vec<TaskItem>,
    /// The `cursor` of the next page; null on the last one.
    next_cursor: Option<String>,
}

/// The removed task.
#[derive(Serialize, ToSchema)]
pub(crate) struct Removed {
    /// A sentence for users, in the language of the reply.
    message: &'static str,
    /// The logical key of the task.
    file: String,
    /// The id of the task.
    #[serde(rename = "Task")]
    task: i64,
}

problems!(ListProblems: QueryInvalid, TokenMissing, TokenInvalid, TokenExpired, Unavailable);
problems!(TaskProblems: TokenMissing, TokenInvalid, TokenExpired, TaskNotFound, Unavailable);
problems!(CancelProblems: TokenMissing, TokenInvalid, TokenExpired, TaskNotFound, TaskFinished, Unavailable);
problems!(RetryProblems: RecipeInvalid, IdempotencyKeyInvalid, TokenMissing, TokenInvalid, TokenExpired, TaskNotFound, TaskNotRetryable,
    TaskTooLarge, IdempotencyKeyInUse, IdempotencyKeyReused, Unavailable);

/// Lists the account's tasks.
///
/// A page has at most 1,000 tasks. Send its `next_cursor` as `cursor` to get the next page.
#[utoipa::path(get, operation_id = "list_tasks", path = "/api/tasks", tag = "tasks", params(ListQuery), security(("bearer" = [])),
    responses((status = 200, description = "A page of tasks", body = TaskList), ListProblems))]
pub(crate) async fn list(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<TaskList>, Error> {
    let page = ListQuery::from_pairs(query)?.check()?;
    let limit = page.limit.unwrap_or(PAGE_MAX);
    // One row more than a page holds, to see if there is another page.
    let mut tasks = task::list(
        &state.db,
        user,
        task::Page {
            limit: Some(limit + 1),
            ..page
        },
    )
    .await?;
    let more = tasks.len() as u64 > limit;
    tasks.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_cursor = tasks.last().filter(|_| more).map(|task| task.id.to_string());
    Ok(Json(TaskList {
        data: tasks.into_iter().map(TaskItem::from).collect(),
        next_cursor,
    }))
}

/// Shows a task.
///
/// With its status and progress and, once it is processed, its outputs with signed links that need no token.
#[utoipa::path(get, operation_id = "show_task", path = "/api/tasks/{id}", tag = "tasks", params(("id" = i64, Path, description = "The id of the task")), security(("bearer" = [])),
    responses((status = 200, description = "The task", body = TaskView), TaskProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    context: ViewContext,
    Owned(task): Owned<task::TaskDetails>,
) -> Json<TaskView> {
    Json(view(&state, &context, task))
}

/// Cancels an unfinished task.
///
/// A worker that processes it stops within seconds. The source is kept, so that the task can be retried.
#[utoipa::path(post, operation_id = "cancel_task", path = "/api/tasks/{id}/cancel", tag = "tasks", params(("id" = i64, Path, description = "The id of the task")), security(("bearer" = [])),
    responses((status = 200, description = "The canceled task", body = TaskView), CancelProblems))]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    context: ViewContext,
    Owned(task): Owned<task::Model>,
) -> Result<Json<TaskView>, Error> {
    let (user, id) = (task.owner(), task.task_id());
    let canceled = entity::write(&state.db, async |db| match task::cancel(db, user, id).await? {
        Some(task) => {
            let source = source::of_task(db, &task).await?;
            Ok::<_, Error>((task, source))
        }
        // Removed after the extractor had found it.
        None if task::of_user(db, user, id).await?.is_none() => Err(Code::TaskNotFound.into()),
        None => Err(Code::TaskFinished.into()),
    });
    let (task, source) = canceled.await?;
    Ok(Json(view_without_outputs(&state, &context, task, source)))
}

/// Retries a failed or canceled task as a new task.
///
/// The new task has the same source and recipe. The old one does not change.
#[utoipa::path(post, operation_id = "retry_task", path = "/api/tasks/{id}/retry", tag = "tasks", params(("id" = i64, Path, description = "The id of the task"), IdempotencyKeyHeader), security(("bearer" = [])),
    responses((status = 201, description = "The new task", body = TaskView), RetryProblems))]
pub(crate) async fn retry(
    State(state): State<AppState>,
    context: ViewContext,
    CurrentUser(user): CurrentUser,
    key: IdempotencyKey,
    mut request: Parts,
) -> Result<Response, Error> {
    // The task is looked up after the key is acquired, so that a reply is replayed even when the task was removed
    // since.
    match key.acquire(&state, user).await? {
        KeyState::Replay(stored) => stored.replay(&Fingerprint::default()),
        KeyState::Acquired(guard) => {
            let created = match Owned::<task::Model>::from_request_parts(&mut request, &state).await {
                Ok(Owned(task)) => create_retry(&state, &context, user, task.task_id(), &guard).await,
                Err(error) => Err(error),
            };
            guard.complete(created).await
        }
    }
}

/// Creates the new task of a retry and wakes a worker.
async fn create_retry(
    state: &AppState,
    context: &ViewContext,
    user: UserId,
    id: TaskId,
    guard: &KeyGuard,
) -> Result<TaskView, Error> {
    let found = task::with_source(&state.db, user, id).await?;
    let (task, source) = found.ok_or(Code::TaskNotFound)?;
    let recipe = domain::recipe_reader::stored(task.recipe).context("failed to parse a stored recipe")?;
    check_task_size(state, user, &recipe, source.probe.as_ref()).await?;
    let written = entity::user::write(&state.db, user, async |db| {
        let found = task::with_source(db, user, id).await?;
        let (task, source) = found.ok_or(Code::TaskNotFound)?;
        if !matches!(Status::from(task.status), Status::Failed | Status::Canceled) {
            return Err(Code::TaskNotRetryable.into());
        }
        check_names(db, user, &recipe).await?;
        let retry = task::create_retry(db, &task).await?;
        let view = view_without_outputs(state, context, retry.clone(), source);
        guard.store_reply(db, &Fingerprint::default(), &view).await?;
        Ok::<_, Error>((retry, view))
    });
    let (retry, view) = written.await?;
    wake(state, &retry).await;
    Ok(view)
}

/// Removes a task, its outputs, and its source when no other task uses it.
///
/// A task that is being processed is canceled first. Removal cannot be undone.
#[utoipa::path(delete, operation_id = "remove_task", path = "/api/tasks/{id}", tag = "tasks", params(("id" = i64, Path, description = "The id of the task")), security(("bearer" = [])),
    responses((status = 200, description = "The task was removed", body = Removed), TaskProblems))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    context: RequestContext,
    Owned(task): Owned<task::Model>,
) -> Result<Json<Removed>, Error> {
    let removed = entity::write(&state.db, async |db| task::remove(db, &task).await).await?;
    for key in removed.ok_or(Code::TaskNotFound)? {
        remove_file(&state, &key).await;
    }
    tracing::info!(task.id = task.id, "removed");
    let message = SuccessMessage::Deleted.in_language(context.language);
    Ok(Json(Removed {
        message,
        file: task.file_path,
        task: task.id,
    }))
}

/// Removes a file whose row was removed. The transaction has put the key on the trash list, so if the storage fails
/// now, the background task `trash` retries.
pub(crate) async fn remove_file(state: &AppState, key: &str) {
    let Ok(target) = Target::parse(key) else { return };
    let removed = match state.storage.remove(&target).await {
        Ok(()) => entity::trash::remove_key(&state.db, key)
            .await
            .map_err(anyhow::Error::from),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = removed {
        tracing::warn!(
            error = format!("{error:#}"),
            key,
            "failed to remove a file; it stays on the trash list"
        );
    }
}

/// Wakes a worker. If that fails, workers find the task by polling, a little later.
pub(crate) async fn wake(state: &AppState, task: &task::Model) {
    if let Err(error) = state.queue.wake().await {
        tracing::warn!(
            task.id = task.id,
            error = format!("{error:#}"),
            "failed to wake a worker"
        );
    }
}

/// The facts about a request that the view of a task depends on.
pub(crate) struct ViewContext {
    language: Language,
    base_url: BaseUrl,
}

impl FromRequestParts<AppState> for ViewContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let Ok(request) = RequestContext::from_request_parts(parts, state).await;
        let Ok(base_url) = BaseUrl::from_request_parts(parts, state).await;
        Ok(Self {
            language: request.language,
            base_url,
        })
    }
}

/// The view of a task, with new signed links to its outputs.
pub(crate) fn view(state: &AppState, context: &ViewContext, task: task::TaskDetails) -> TaskView {
    let (now, playing) = (Utc::now(), playing_time(&task.outputs));
    let link = |task: &task::Model, output: &output::Model| {
        let path = state.links.path(task, output, playing, now);
        format!("{}/api/video/{path}", context.base_url.0)
    };
    TaskView::new(task, context.language, link)
}

/// The view of a task that has no outputs yet.
fn view_without_outputs(state: &AppState, context: &ViewContext, task: task::Model, source: source::Model) -> TaskView {
    let outputs = Vec::new();
    view(state, context, task::TaskDetails { task, source, outputs })
}
