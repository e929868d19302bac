//! Tasks: listed, shown, stopped, tried again, removed. How one is made is in `uploads.rs`.

mod page;

use crate::AppState;
use crate::choice::check_names;
use crate::context::Context;
use crate::error::Error;
use crate::extract::{BaseUrl, CurrentUser, Owned};
use crate::links::playing_time;
use crate::once::{Hold, Mark, Once, OnceHeader, Turn};
use crate::openapi::problems;
use crate::reply::Said;
use crate::routes::plan::check_amount;
use crate::view::{TaskItem, TaskView};
use anyhow::Context as _;
use axum::Json;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::response::Response;
use chrono::Utc;
use domain::{Code, Status, TaskId, UserId};
use entity::{output, source, task};
use page::{ListQuery, PAGE_MAX};
use serde::Serialize;
use storage::Target;
use utoipa::ToSchema;

/// A page of tasks.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskList {
    /// The tasks of this page.
    data: Vec<TaskItem>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

/// What was removed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Removed {
    /// A sentence for people.
    message: &'static str,
    /// Its logical key.
    file: String,
    /// Its id.
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
/// A page has at most 1,000 of them; `next_cursor` leads to the next one.
#[utoipa::path(get, operation_id = "list_tasks", path = "/api/tasks", tag = "tasks", params(ListQuery), security(("bearer" = [])),
    responses((status = 200, description = "A page of tasks", body = TaskList), ListProblems))]
pub(crate) async fn list(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<TaskList>, Error> {
    let page = ListQuery::of(query)?.check()?;
    let limit = page.limit.unwrap_or(PAGE_MAX);
    // One more than asked tells whether there is another page.
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
/// Its status, how far it is, and once it is processed its outputs with links that need no token until they expire.
#[utoipa::path(get, operation_id = "show_task", path = "/api/tasks/{id}", tag = "tasks", params(("id" = i64, Path, description = "The number of the task")), security(("bearer" = [])),
    responses((status = 200, description = "The task", body = TaskView), TaskProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    context: Context,
    base: BaseUrl,
    Owned(task): Owned<task::Whole>,
) -> Json<TaskView> {
    Json(view(&state, &context, &base, task))
}

/// Stops a task that is not finished.
///
/// A worker that is at it is told within seconds. The source stays, so that the task can be tried again.
#[utoipa::path(post, operation_id = "cancel_task", path = "/api/tasks/{id}/cancel", tag = "tasks", params(("id" = i64, Path, description = "The number of the task")), security(("bearer" = [])),
    responses((status = 200, description = "The canceled task", body = TaskView), CancelProblems))]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    context: Context,
    base: BaseUrl,
    Owned(task): Owned<task::Model>,
) -> Result<Json<TaskView>, Error> {
    let (user, id) = (task.owner(), task.task_id());
    let canceled = entity::write(&state.db, async |db| match task::cancel(db, user, id).await? {
        Some(task) => {
            let source = source::of_task(db, &task).await?;
            Ok::<_, Error>((task, source))
        }
        // It was there a moment ago.
        None if task::of_user(db, user, id).await?.is_none() => Err(Code::TaskNotFound.into()),
        None => Err(Code::TaskFinished.into()),
    });
    Ok(Json(bare_view(&state, &context, &base, canceled.await?)))
}

/// Tries a failed or canceled task again, as a new task.
///
/// The new task has the same source and recipe; the old one stays as it is.
#[utoipa::path(post, operation_id = "retry_task", path = "/api/tasks/{id}/retry", tag = "tasks", params(("id" = i64, Path, description = "The number of the task"), OnceHeader), security(("bearer" = [])),
    responses((status = 201, description = "The new task", body = TaskView), RetryProblems))]
pub(crate) async fn retry(
    State(state): State<AppState>,
    seen: (Context, BaseUrl),
    CurrentUser(user): CurrentUser,
    once: Once,
    mut request: Parts,
) -> Result<Response, Error> {
    // The task comes second: a first reply is given again when the task has gone since.
    match once.turn(&state, user).await? {
        Turn::Again(kept) => kept.replay(&Mark::default()),
        Turn::First(hold) => {
            let made = match Owned::<task::Model>::from_request_parts(&mut request, &state).await {
                Ok(Owned(task)) => again(&state, &seen, task.task_id(), (user, &hold)).await,
                Err(error) => Err(error),
            };
            hold.settle(made).await
        }
    }
}

async fn again(
    state: &AppState,
    (context, base): &(Context, BaseUrl),
    id: TaskId,
    (user, hold): (UserId, &Hold),
) -> Result<TaskView, Error> {
    let known = task::with_source(&state.db, user, id).await?;
    let (task, source) = known.ok_or(Code::TaskNotFound)?;
    let recipe = domain::recipe_reader::stored(task.recipe).context("a stored recipe cannot be read")?;
    check_amount(state, user, &recipe, source.probe.as_ref()).await?;
    let written = entity::user::write(&state.db, user, async |db| {
        let found = task::with_source(db, user, id).await?;
        let (task, source) = found.ok_or(Code::TaskNotFound)?;
        if !matches!(Status::from(task.status), Status::Failed | Status::Canceled) {
            return Err(Code::TaskNotRetryable.into());
        }
        check_names(db, user, &recipe).await?;
        let again = task::again(db, &task).await?;
        let view = bare_view(state, context, base, (again.clone(), source));
        hold.finish(db, &Mark::default(), &view).await?;
        Ok::<_, Error>((again, view))
    });
    let (again, view) = written.await?;
    wake(state, &again).await;
    Ok(view)
}

/// Removes a task, its outputs, and its source when no other task uses it.
///
/// A task that is being worked on is stopped first. There is no way back.
#[utoipa::path(delete, operation_id = "remove_task", path = "/api/tasks/{id}", tag = "tasks", params(("id" = i64, Path, description = "The number of the task")), security(("bearer" = [])),
    responses((status = 200, description = "The task is gone", body = Removed), TaskProblems))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    context: Context,
    Owned(task): Owned<task::Model>,
) -> Result<Json<Removed>, Error> {
    let removed = entity::write(&state.db, async |db| task::remove(db, &task).await).await?;
    for key in removed.ok_or(Code::TaskNotFound)? {
        erase(&state, &key).await;
    }
    tracing::info!(task.id = task.id, "removed");
    let message = Said::Deleted.in_language(context.language);
    Ok(Json(Removed {
        message,
        file: task.file_path,
        task: task.id,
    }))
}

/// Removes a file whose row is gone. What cannot be removed now is on the trash list.
pub(crate) async fn erase(state: &AppState, key: &str) {
    let Ok(target) = Target::parse(key) else { return };
    let erased = match state.storage.remove(&target).await {
        Ok(()) => entity::trash::keep(&state.db, key).await.map_err(anyhow::Error::from),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = erased {
        tracing::warn!(error = format!("{error:#}"), key, "a file waits for the sweeper");
    }
}

/// Wakes a worker. When that fails workers find the task by themselves a little later.
pub(crate) async fn wake(state: &AppState, task: &task::Model) {
    if let Err(error) = state.queue.wake().await {
        tracing::warn!(task.id = task.id, error = format!("{error:#}"), "no worker was woken");
    }
}

/// The view of a task with links that work from now on.
pub(crate) fn view(state: &AppState, context: &Context, base: &BaseUrl, task: task::Whole) -> TaskView {
    let (now, playing) = (Utc::now(), playing_time(&task.outputs));
    let link = |task: &task::Model, output: &output::Model| {
        let path = state.links.path(task, output, playing, now);
        format!("{}/api/video/{path}", base.0)
    };
    TaskView::new(task, context.language, link)
}

/// The view of a task that has no outputs.
fn bare_view(
    state: &AppState,
    context: &Context,
    base: &BaseUrl,
    (task, source): (task::Model, source::Model),
) -> TaskView {
    let outputs = Vec::new();
    view(state, context, base, task::Whole { task, source, outputs })
}
