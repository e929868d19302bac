//! Tasks: list, cancel, retry and remove. `uploads.rs` creates them.

use crate::app::{App, Core};
use crate::idempotency::{Fingerprint, KeyGuard};
use crate::recipe_choice::check_names;
use crate::trash::remove_listed;
use crate::{Error, plans};
use anyhow::Context as _;
use domain::{Code, EventType, Status, TaskId, UserId};
use entity::{ConnectionTrait, DbErr, event, source, task, video};
use serde::Serialize;

/// Maximum number of tasks on a page.
pub const PAGE_MAX: u64 = 1_000;

/// A page of tasks.
#[derive(Debug)]
pub struct TaskPage {
    /// The tasks, in the order of the request.
    pub tasks: Vec<task::TaskSummary>,
    /// The last task, when another page follows.
    pub next: Option<TaskId>,
}

/// Lists tasks of an account, at most [`PAGE_MAX`].
///
/// # Errors
/// Those of the query.
pub async fn list(app: &App, user: UserId, page: task::Page) -> Result<TaskPage, Error> {
    let limit = page.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    // One row more than a page holds, to see if there is another page.
    let page = task::Page {
        limit: Some(limit + 1),
        ..page
    };
    let mut tasks = task::list(&app.db, user, page).await?;
    let more = tasks.len() as u64 > limit;
    tasks.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = tasks.last().filter(|_| more).map(|task| TaskId(task.id));
    Ok(TaskPage { tasks, next })
}

/// Cancels an unfinished task. A worker that processes it stops within seconds.
///
/// # Errors
/// `task_not_found`, `task_finished`.
pub async fn cancel(app: &App, user: UserId, id: TaskId) -> Result<task::TaskDetails, Error> {
    let canceled = entity::write(&app.db, async |db| match task::cancel(db, user, id).await? {
        Some(task) => {
            let source = source::of_task(db, &task).await?;
            Ok::<_, Error>(without_outputs(db, task, source).await?)
        }
        // Removed after the caller had found it.
        None if task::of_user(db, user, id).await?.is_none() => Err(Code::TaskNotFound.into()),
        None => Err(Code::TaskFinished.into()),
    });
    let canceled = canceled.await?;
    app.queue.publish_update(user, id);
    Ok(canceled)
}

/// Retries a failed or canceled task as a new task with the same source and recipe, and wakes a worker.
///
/// # Errors
/// `task_not_found`, `task_not_retryable`, `recipe_invalid`, `task_too_large`, `idempotency_key_in_use`.
pub async fn retry<R: Serialize>(
    app: &App,
    user: UserId,
    id: TaskId,
    guard: &KeyGuard,
    reply: impl Fn(task::TaskDetails) -> R,
) -> Result<R, Error> {
    let found = task::with_source(&app.db, user, id).await?;
    let (task, source) = found.ok_or(Code::TaskNotFound)?;
    let recipe = domain::recipe_reader::stored(task.recipe).context("failed to parse a stored recipe")?;
    plans::check_task_size(app, user, &recipe, source.probe.as_ref()).await?;
    let written = entity::user::write(&app.db, user, async |db| {
        let found = task::with_source(db, user, id).await?;
        let (task, source) = found.ok_or(Code::TaskNotFound)?;
        if !matches!(Status::from(task.status), Status::Failed | Status::Canceled) {
            return Err(Code::TaskNotRetryable.into());
        }
        check_names(db, user, &recipe).await?;
        let retry = task::create_retry(db, &task).await?;
        let reply = reply(without_outputs(db, retry.clone(), source).await?);
        guard.store_reply(db, &Fingerprint::default(), &reply).await?;
        let created = event::New::of_task(db, EventType::TaskCreated, retry.task_id()).await?;
        event::append(db, vec![created]).await?;
        Ok::<_, Error>((retry, reply))
    });
    let (retry, reply) = written.await?;
    wake(app, &retry);
    Ok(reply)
}

/// A task that has no outputs yet.
async fn without_outputs(
    db: &impl ConnectionTrait,
    task: task::Model,
    source: source::Model,
) -> Result<task::TaskDetails, DbErr> {
    let video = video::of_source(db, source.id).await?;
    Ok(task::TaskDetails {
        task,
        source,
        video: video.map(|video| video.video_id()),
        outputs: Vec::new(),
    })
}

/// Removes a task, its outputs, and its source when no other task uses it. A task in progress is canceled.
///
/// # Errors
/// `task_not_found` when another request has removed it.
pub async fn remove(app: &App, task: &task::Model) -> Result<(), Error> {
    let removed = entity::write(&app.db, async |db| task::remove(db, task).await).await?;
    let keys = removed.ok_or(Code::TaskNotFound)?;
    app.queue.publish_update(task.owner(), task.task_id());
    for key in keys {
        remove_listed(app, &key).await;
    }
    tracing::info!(task.id = task.id, "removed");
    Ok(())
}

/// Wakes a worker in the background: the reply to a request must not wait while Redis does not answer. If it fails,
/// workers find the task by polling, a little later.
pub(crate) fn wake(app: &Core, task: &task::Model) {
    let (queue, id) = (app.queue.clone(), task.id);
    tokio::spawn(async move {
        if let Err(error) = queue.wake().await {
            tracing::warn!(task.id = id, error = format!("{error:#}"), "failed to wake a worker");
        }
    });
}
