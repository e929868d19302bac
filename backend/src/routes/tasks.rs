//! Tasks: listed, shown, stopped, tried again, removed. How one is made is in `uploads.rs`.

use crate::AppState;
use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::extract::{BaseUrl, CurrentUser, Owned};
use crate::links::Grant;
use crate::openapi::problems;
use crate::reply::Said;
use crate::view::{TaskItem, TaskView};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use chrono::Utc;
use domain::{Code, Status, TaskId};
use entity::{DbErr, output, source, task};
use queue::Job;
use serde::{Deserialize, Serialize};
use storage::Key;
use utoipa::{IntoParams, ToSchema};

/// Most tasks of one page; a client that asks for more, or does not say, finds the rest behind `next_cursor`.
const PAGE_MAX: u64 = 1_000;

/// Which tasks to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// At most this many, from 1 on; never more than 1000.
    #[param(value_type = Option<u64>, minimum = 1)]
    max: Option<String>,
    /// 0: smallest id first (the default); 1: largest id first.
    #[param(value_type = Option<u8>, minimum = 0, maximum = 1)]
    order: Option<String>,
    /// Only tasks of this status.
    #[param(value_type = Option<Status>)]
    status: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of tasks.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskList {
    data: Vec<TaskItem>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

/// What was removed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Removed {
    message: &'static str,
    /// Its logical key.
    file: String,
    /// Its id.
    #[serde(rename = "Task")]
    task: i64,
}

impl ListQuery {
    /// In the order of the contract; the first wrong one answers.
    fn check(&self) -> Result<task::Page, Refusal> {
        let wrong = |name: &str, value: &str, accepted: &str| {
            let given: String = value.chars().take(100).collect();
            Refusal::new(Code::QueryInvalid)
                .detail(format!("{name}={given}; accepted: {accepted}"))
                .field(name, Code::QueryInvalid)
        };
        let max = self.max.as_deref().map(|text| {
            text.parse()
                .ok()
                .filter(|max| *max >= 1)
                .ok_or_else(|| wrong("max", text, "1 and more"))
        });
        let descending = match self.order.as_deref() {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(text) => Err(wrong("order", text, "0 or 1")),
        };
        let status = self.status.as_deref().map(|text| {
            let known = Status::ALL.into_iter().find(|status| status.as_str() == text);
            known.ok_or_else(|| wrong("status", text, &Status::ALL.map(Status::as_str).join(", ")))
        });
        let after = self.cursor.as_deref();
        let after = after.map(|text| {
            text.parse::<TaskId>()
                .map_err(|_| wrong("cursor", text, "a next_cursor"))
        });
        Ok(task::Page {
            limit: Some(max.transpose()?.unwrap_or(PAGE_MAX).min(PAGE_MAX)),
            descending: descending?,
            status: status.transpose()?,
            after: after.transpose()?,
        })
    }
}

problems!(ListProblems: QueryInvalid, TokenMissing, TokenInvalid, TokenExpired, Unavailable);
problems!(TaskProblems: TokenMissing, TokenInvalid, TokenExpired, TaskNotFound, Unavailable);
problems!(CancelProblems: TokenMissing, TokenInvalid, TokenExpired, TaskNotFound, TaskFinished, Unavailable);
problems!(RetryProblems: TokenMissing, TokenInvalid, TokenExpired, TaskNotFound, TaskNotRetryable, Unavailable);

/// Lists the account's tasks.
#[utoipa::path(get, operation_id = "list_tasks", path = "/api/tasks", tag = "tasks", params(ListQuery), security(("bearer" = [])),
    responses((status = 200, description = "A page of tasks", body = TaskList), ListProblems))]
pub(crate) async fn list(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Query(query): Query<ListQuery>,
) -> Result<Json<TaskList>, Error> {
    let page = query.check()?;
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
#[utoipa::path(get, operation_id = "show_task", path = "/api/tasks/{id}", tag = "tasks", params(("id" = i64, Path)), security(("bearer" = [])),
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
#[utoipa::path(post, operation_id = "cancel_task", path = "/api/tasks/{id}/cancel", tag = "tasks", params(("id" = i64, Path)), security(("bearer" = [])),
    responses((status = 200, description = "The canceled task", body = TaskView), CancelProblems))]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    context: Context,
    base: BaseUrl,
    Owned(task): Owned<task::Model>,
) -> Result<Json<TaskView>, Error> {
    let canceled = entity::write(&state.db, async |db| {
        task::cancel(db, task.owner(), task.task_id()).await
    });
    let task = canceled.await?.ok_or(Code::TaskFinished)?;
    bare_view(&state, &context, &base, task).await.map(Json)
}

/// Tries a failed or canceled task again, as a new task.
#[utoipa::path(post, operation_id = "retry_task", path = "/api/tasks/{id}/retry", tag = "tasks", params(("id" = i64, Path)), security(("bearer" = [])),
    responses((status = 201, description = "The new task", body = TaskView), RetryProblems))]
pub(crate) async fn retry(
    State(state): State<AppState>,
    context: Context,
    base: BaseUrl,
    Owned(task): Owned<task::Model>,
) -> Result<(StatusCode, Json<TaskView>), Error> {
    if !matches!(Status::from(task.status), Status::Failed | Status::Canceled) {
        return Err(Code::TaskNotRetryable.into());
    }
    let again = entity::write(&state.db, async |db| task::again(db, &task).await).await?;
    ring(&state, &again).await;
    bare_view(&state, &context, &base, again)
        .await
        .map(|view| (StatusCode::CREATED, Json(view)))
}

/// Removes a task, its outputs, and its source when no other task uses it.
#[utoipa::path(delete, operation_id = "remove_task", path = "/api/tasks/{id}", tag = "tasks", params(("id" = i64, Path)), security(("bearer" = [])),
    responses((status = 200, description = "The task is gone", body = Removed), TaskProblems))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    context: Context,
    Owned(task): Owned<task::Model>,
) -> Result<Json<Removed>, Error> {
    let keys = entity::write(&state.db, async |db| task::remove(db, &task).await).await;
    let keys = keys.map_err(|error| match error {
        // Somebody else removed it at the same moment.
        DbErr::RecordNotFound(_) => Code::TaskNotFound.into(),
        error => Error::from(error),
    })?;
    for key in keys {
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
async fn erase(state: &AppState, key: &str) {
    let Ok(parsed) = Key::parse(key) else { return };
    let erased = match state.storage.delete(&parsed).await {
        Ok(()) => entity::trash::keep(&state.db, key).await.map_err(anyhow::Error::from),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = erased {
        tracing::warn!(error = format!("{error:#}"), key, "a file waits for the sweeper");
    }
}

/// Wakes a worker. When that fails the sweeper rings again.
pub(crate) async fn ring(state: &AppState, task: &task::Model) {
    match state.doorbell.ring(Job { task: task.task_id() }).await {
        Ok(()) => tracing::debug!(task.id = task.id, "rang"),
        Err(error) => tracing::warn!(
            task.id = task.id,
            error = format!("{error:#}"),
            "nobody heard the doorbell"
        ),
    }
}

/// The view of a task with links that work from now on.
fn view(state: &AppState, context: &Context, base: &BaseUrl, task: task::Whole) -> TaskView {
    let now = Utc::now();
    let link = |task: &task::Model, output: &output::Model| {
        let grant = Grant {
            file_path: &task.file_path,
            output: &output.name,
        };
        format!(
            "{}/api/video/download/{}?{}",
            base.0,
            task.file_path,
            state.links.query(grant, now)
        )
    };
    TaskView::new(task, context.language, link)
}

/// The view of a task that has no outputs.
async fn bare_view(state: &AppState, context: &Context, base: &BaseUrl, task: task::Model) -> Result<TaskView, Error> {
    let source = source::of_task(&state.db, &task).await?;
    Ok(view(
        state,
        context,
        base,
        task::Whole {
            task,
            source,
            outputs: Vec::new(),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(max: &str, order: &str) -> Result<(Option<u64>, bool), String> {
        let some = |text: &str| (text != "-").then(|| text.to_owned());
        let query = ListQuery {
            max: some(max),
            order: some(order),
            status: None,
            cursor: None,
        };
        query
            .check()
            .map(|page| (page.limit, page.descending))
            .map_err(|refusal| refusal.fields[0].name.clone())
    }

    #[test]
    fn a_page_is_bounded_and_the_first_wrong_parameter_answers() {
        assert_eq!(checked("-", "-"), Ok((Some(PAGE_MAX), false)));
        assert_eq!(checked("1", "1"), Ok((Some(1), true)));
        assert_eq!(checked("9999999", "0"), Ok((Some(PAGE_MAX), false)));
        for (max, order, field) in [
            ("0", "x", "max"),
            ("-1", "-", "max"),
            ("x", "-", "max"),
            ("", "-", "max"),
            ("1", "2", "order"),
            ("1", "", "order"),
        ] {
            assert_eq!(checked(max, order), Err(field.to_owned()), "{max} {order}");
        }
    }
}
