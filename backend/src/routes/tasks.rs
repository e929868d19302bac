//! Tasks: list, show, cancel, retry and remove. `uploads.rs` creates them.

mod page;

pub(crate) mod wait;

use crate::AppState;
use crate::access_log::Waited;
use crate::error::Error;
use crate::etag::reply_unless_known;
use crate::extract::{Owned, Principal};
use crate::idempotency::{Created, IdempotencyKey, IdempotencyKeyHeader};
use crate::openapi::problems;
use crate::reply::SuccessMessage;
use crate::request_context::RequestContext;
use crate::task_reply::{ViewContext, tag, view};
use crate::view::task_item;
use api::tasks::{Removed, TaskList, TaskView};
use app::idempotency::Fingerprint;
use app::tasks;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use axum::{Extension, Json};
use chrono::Utc;
use entity::task;
use page::ListQuery;
use std::time::Instant;

problems!(ListProblems: QueryInvalid, TokenMissing, TokenInvalid, TokenExpired, Unavailable);
problems!(ShowProblems: QueryInvalid, TokenMissing, TokenInvalid, TokenExpired, TaskNotFound, Unavailable);
problems!(TaskProblems: TokenMissing, TokenInvalid, TokenExpired, TaskNotFound, Unavailable);
problems!(CancelProblems: TokenMissing, TokenInvalid, TokenExpired, TaskNotFound, TaskFinished, Unavailable);
problems!(RetryProblems: RecipeInvalid, IdempotencyKeyInvalid, TokenMissing, TokenInvalid, TokenExpired, TaskNotFound, TaskNotRetryable,
    TaskTooLarge, IdempotencyKeyInUse, IdempotencyKeyReused, Unavailable);

/// Lists the account's tasks.
///
/// A page has at most 1,000 tasks. Send its `next_cursor` as `cursor` to get the next page.
#[utoipa::path(get, operation_id = "list_tasks", path = "/tasks", tag = "tasks", params(ListQuery), security(("bearer" = [])),
    responses((status = 200, description = "A page of tasks", body = TaskList), ListProblems))]
pub(crate) async fn list(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<TaskList>, Error> {
    let page = ListQuery::from_pairs(query)?.check()?;
    let page = tasks::list(&state.app, principal.account, page).await?;
    Ok(Json(TaskList {
        data: page.tasks.into_iter().map(task_item).collect(),
        next_cursor: page.next.map(|task| task.to_string()),
    }))
}

/// Shows a task.
///
/// With its status and progress and, once it is processed, its outputs with signed links that need no token. With
/// `wait`, the reply comes when status, attempt or percent differ from those that the client knows, or after that time.
#[utoipa::path(get, operation_id = "show_task", path = "/tasks/{id}", tag = "tasks", params(("id" = i64, Path, description = "The id of the task"),
        ("wait" = Option<u8>, Query, minimum = 0, maximum = 30, description = "Seconds to wait for a change of status, attempt or percent: since the reply whose `ETag` is in `If-None-Match`, or else since the request. The reply may come earlier without a change")),
    security(("bearer" = [])), responses((status = 200, description = "The task", body = TaskView), ShowProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    context: ViewContext,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
    Owned(task): Owned<task::TaskDetails>,
) -> Result<(Extension<Waited>, Result<Response, Error>), Error> {
    let (wait, began) = (wait::wait_time(&query)?, Instant::now());
    let found = wait::wait_for_change(&state, task, wait, &headers).await;
    let waited = Extension(Waited(began.elapsed()));
    let reply = found.map(|task| {
        let now = Utc::now();
        let etag = tag(&state.links, &context, &task, now);
        reply_unless_known(&headers, &etag, || Json(view(&state.links, &context, task, now)))
    });
    Ok((waited, reply))
}

/// Cancels an unfinished task.
///
/// A worker that processes it stops within seconds. The source is kept, so that the task can be retried.
#[utoipa::path(post, operation_id = "cancel_task", path = "/tasks/{id}/cancel", tag = "tasks", params(("id" = i64, Path, description = "The id of the task")), security(("bearer" = [])),
    responses((status = 200, description = "The canceled task", body = TaskView), CancelProblems))]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    context: ViewContext,
    Owned(task): Owned<task::Model>,
) -> Result<Json<TaskView>, Error> {
    let canceled = tasks::cancel(&state.app, task.owner(), task.task_id()).await?;
    Ok(Json(view(&state.links, &context, canceled, Utc::now())))
}

/// Retries a failed or canceled task as a new task.
///
/// The new task has the same source and recipe. The old one does not change.
#[utoipa::path(post, operation_id = "retry_task", path = "/tasks/{id}/retry", tag = "tasks", params(("id" = i64, Path, description = "The id of the task"), IdempotencyKeyHeader), security(("bearer" = [])),
    responses((status = 201, description = "The new task", body = TaskView), RetryProblems))]
pub(crate) async fn retry(
    State(state): State<AppState>,
    context: ViewContext,
    principal: Principal,
    key: IdempotencyKey,
    request: Parts,
) -> Result<Created<TaskView>, Error> {
    // The task is looked up after the key is acquired, so that a reply is replayed even when the task was removed
    // since.
    let fingerprint = async |_| Ok::<_, Error>(Fingerprint::default());
    let work = async |mut request: Parts, guard| {
        let Owned(task) = Owned::<task::Model>::from_request_parts(&mut request, &state).await?;
        let reply = |retry| view(&state.links, &context, retry, Utc::now());
        let retry = tasks::retry(&state.app, principal.account, task.task_id(), &guard, reply);
        Ok::<_, Error>(retry.await?)
    };
    let outcome = key.of(principal).once(&state.app, request, fingerprint, work).await;
    outcome.map(Created)
}

/// Removes a task, its outputs, and its source when no other task uses it.
///
/// A task that is being processed is canceled first. Removal cannot be undone.
#[utoipa::path(delete, operation_id = "remove_task", path = "/tasks/{id}", tag = "tasks", params(("id" = i64, Path, description = "The id of the task")), security(("bearer" = [])),
    responses((status = 200, description = "The task was removed", body = Removed), TaskProblems))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    context: RequestContext,
    Owned(task): Owned<task::Model>,
) -> Result<Json<Removed>, Error> {
    tasks::remove(&state.app, &task).await?;
    state.app.library.wait_for_newest().await;
    let message = SuccessMessage::Deleted.in_language(context.language);
    Ok(Json(Removed {
        message: message.to_owned(),
        file: task.file_path,
        task: task.id,
    }))
}
