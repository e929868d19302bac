//! Table `tasks`: the state machine of a task. Only this module and its submodules write a status.
//!
//! ```text
//!  uploaded ──claim──► processing ──succeed──► processed
//!    │ ▲                  │ ├─────fail──────► failed
//!    │ └─fail(retry),     │ └─────cancel────► canceled
//!    │   release, sweep───┘
//!    └────────cancel────────────────────────► canceled
//! ```
//!
//! Every arrow is one conditional `UPDATE` that names the status it expects. The final statuses on the right are never
//! left. How a worker claims and keeps a task is explained in `task/claim.rs`.

mod claim;
mod claim_next;
mod details;
mod find;
mod sweep;
mod table;
mod transition;
mod videos;

pub use claim::{AttemptResult, Claim, Claimed};
pub use claim_next::claim_next;
pub use details::{TaskDetails, details};
pub use find::{
    Page, TaskProgress, TaskSummary, by_id, by_path, count_by_status, list, of_user, oldest_due_created_at,
    progress_of, summary, with_source,
};
pub use sweep::{Swept, release_unknown, return_tasks_of, sweep};
pub use table::{ActiveModel, Column, Entity, Model, PrimaryKey, Relation, TaskStatus};
pub use transition::append_processed;
pub use videos::{create_missing_videos, newest_processed, of_video, remove_video};

/// Separates the detail of a failure from that of an earlier attempt.
pub const EARLIER_ATTEMPT: &str = "; an earlier attempt: ";

use crate::event::{self, New as Event};
use crate::library_change::{self, Subject};
use crate::{image_use, output, source, trash, user, video};
use domain::{Code, EventType, TaskId, UserId};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, IntoActiveModel, QuerySelect};
use std::time::Duration;
use transition::{record_final, set_final};

/// The values of a new task.
#[derive(Clone, Debug)]
pub struct New {
    /// The uploaded file, a row of `sources`.
    pub source_id: i64,
    /// The file name as the client sent it.
    pub display_name: String,
    /// The file name reduced to characters that are safe in a URL.
    pub safe_name: String,
    /// The preset that the recipe came from.
    pub preset: Option<String>,
    /// The validated recipe.
    pub recipe: Json,
    /// The checked URL that gets the events of the task.
    pub webhook_url: Option<String>,
}

/// Creates a task that is due at once. Call it in [`user::write`], in the transaction that creates or reads the source,
/// the images and the clips of the task. The caller appends the event.
///
/// # Errors
/// Any database error.
pub async fn create(db: &DatabaseTransaction, user: UserId, new: New) -> Result<Model, DbErr> {
    let timestamp = crate::now();
    let row = ActiveModel {
        id: NotSet,
        user_id: Set(user.0),
        source_id: Set(new.source_id),
        file_path: Set(String::new()),
        timestamp: Set(timestamp),
        status: Set(TaskStatus::Uploaded),
        display_name: Set(new.display_name),
        preset: Set(new.preset),
        recipe: Set(new.recipe),
        webhook_url: Set(new.webhook_url),
        attempt: Set(0),
        failures: Set(0),
        run_at_ms: Set(0),
        ..Default::default()
    };
    let task = row.insert(db).await?;
    // The path contains the id, which the insert has just assigned.
    let file_path = format!("{}/{}_{}", timestamp.format("%Y/%m/%d"), task.id, new.safe_name);
    let mut named = task.into_active_model();
    named.file_path = Set(file_path);
    let task = named.update(db).await?;
    image_use::create(db, &task).await?;
    Ok(task)
}

/// Creates a new task with the source and the recipe of a finished one. The finished task does not change; read it in
/// the same [`user::write`]. The caller appends the event.
///
/// # Errors
/// Any database error.
pub async fn create_retry(db: &DatabaseTransaction, task: &Model) -> Result<Model, DbErr> {
    let safe_name = task
        .file_path
        .rsplit('/')
        .next()
        .and_then(|name| name.split_once('_'))
        .map_or("", |(_, name)| name);
    let new = New {
        source_id: task.source_id,
        display_name: task.display_name.clone(),
        safe_name: safe_name.to_owned(),
        preset: task.preset.clone(),
        recipe: task.recipe.clone(),
        webhook_url: task.webhook_url.clone(),
    };
    create(db, task.owner(), new).await
}

/// Cancels a task that is not finished; call it as the end of a transaction. Its worker learns it with the next lease
/// renewal, within two seconds. Until the transaction ends, the task and its source cannot be removed.
///
/// Returns `None` when the task is finished, does not exist or belongs to another account.
///
/// # Errors
/// Any database error.
pub async fn cancel(db: &DatabaseTransaction, user: UserId, id: TaskId) -> Result<Option<Model>, DbErr> {
    user::lock(db, user).await?;
    let open = [TaskStatus::Uploaded, TaskStatus::Processing];
    let mine = Entity::update_many()
        .filter(Column::Id.eq(id.0))
        .filter(Column::UserId.eq(user.0));
    let update = set_final(mine.filter(Column::Status.is_in(open)), TaskStatus::Canceled);
    let Some(task) = update.exec_with_returning(db).await?.pop() else {
        return Ok(None);
    };
    record_final(db, EventType::TaskCanceled, &[task.id]).await?;
    Ok(Some(task))
}

/// Removes a task; call it as the end of a transaction. Its source and those of its outputs that no other task shares
/// go with it. A video that shows the task becomes private, and a video without tasks is removed with the source.
///
/// Returns the storage keys of the removed files, so that the caller can delete them after the commit. They are also on
/// the trash list, due at once. Returns `None` when another request has removed the task.
///
/// # Errors
/// Any database error.
pub async fn remove(db: &DatabaseTransaction, task: &Model) -> Result<Option<Vec<String>>, DbErr> {
    user::lock(db, task.owner()).await?;
    let video = video::of_source(db, task.source_id).await?;
    let Some(Removed { keys, event }) = remove_rows(db, task).await? else {
        return Ok(None);
    };
    let mut events = vec![event];
    if let Some(before) = &video {
        let after = video::of_source(db, task.source_id).await?;
        events.extend(event_of_removal(before, after.as_ref())?);
    }
    event::append(db, events).await?;
    let changed: Vec<_> = video.map(|video| Subject::Video(video.id)).into_iter().collect();
    library_change::append(db, &changed).await?;
    Ok(Some(keys))
}

/// The event of a video one of whose tasks was removed; `None` if it is shown as before.
fn event_of_removal(before: &video::Model, after: Option<&video::Model>) -> Result<Option<Event>, DbErr> {
    Ok(match after {
        None => Some(Event::of_video(EventType::VideoDeleted, before)?),
        Some(after) if after.task_id != before.task_id => Some(Event::of_video(EventType::VideoUnpublished, after)?),
        Some(_) => None,
    })
}

/// The result of [`remove_rows`].
pub(crate) struct Removed {
    /// Storage keys of the removed files.
    keys: Vec<String>,
    /// The event of the task.
    event: Event,
}

/// [`remove`] without the rows of the logs.
pub(crate) async fn remove_rows(db: &impl ConnectionTrait, task: &Model) -> Result<Option<Removed>, DbErr> {
    // Without the lock, two concurrent removals would each see the other's task and leave the shared files.
    user::lock(db, task.owner()).await?;
    // A worker that completes the task holds this row until its commit. Outputs read before that would be incomplete.
    let row = Entity::find_by_id(task.id).select_only().column(Column::Id);
    if row.lock_exclusive().into_tuple::<i64>().one(db).await?.is_none() {
        return Ok(None);
    }
    let outputs = output::of_task(db, task.id).await?;
    let event = Event::of_task(db, EventType::TaskDeleted, task.task_id()).await?;
    video::hide(db, task.task_id()).await?;
    Entity::delete_by_id(task.id).exec(db).await?;
    let mut keys = output::unreferenced(db, outputs.into_iter().map(|output| output.key).collect()).await?;
    if Entity::find()
        .filter(Column::SourceId.eq(task.source_id))
        .count(db)
        .await?
        == 0
    {
        keys.push(source::of_task(db, task).await?.key);
        source::Entity::delete_by_id(task.source_id).exec(db).await?;
    }
    trash::add_keys(db, &keys, Duration::ZERO).await?;
    Ok(Some(Removed { keys, event }))
}

/// Removes the URL that gets the events of a task. Returns `false` if there is none, or no such task.
///
/// # Errors
/// Any database error.
pub async fn forget_webhook(db: &DatabaseTransaction, task: TaskId) -> Result<bool, DbErr> {
    let update = Entity::update_many()
        .filter(Column::Id.eq(task.0))
        .filter(Column::WebhookUrl.is_not_null())
        .col_expr(Column::WebhookUrl, Expr::value(Option::<String>::None));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// The code of the failure that ended the task or delayed its next attempt.
#[must_use]
pub fn error_code(task: &Model) -> Option<Code> {
    task.error_code.as_deref().and_then(Code::from_word)
}
