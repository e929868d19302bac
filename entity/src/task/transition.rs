//! Parts of the `UPDATE`s that change a status, and the rows that follow a final status.

use super::{Column, Entity, Model, TaskStatus};
use crate::event::{self, New};
use crate::image_use;
use crate::library_change::{self, Subject};
use crate::video;
use domain::{EventType, TaskId};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, UpdateMany};

/// Sets a final status and ends the lease.
pub(super) fn set_final(update: UpdateMany<Entity>, status: TaskStatus) -> UpdateMany<Entity> {
    update
        .col_expr(Column::Status, Expr::value(status))
        .col_expr(Column::LeaseUntilMs, Expr::value(Option::<i64>::None))
        .col_expr(Column::FinishedAt, Expr::value(crate::now()))
}

/// Returns the task to `uploaded`, due at `run_at_ms`, and ends the lease.
pub(super) fn set_waiting(update: UpdateMany<Entity>, run_at_ms: Expr) -> UpdateMany<Entity> {
    update
        .col_expr(Column::Status, Expr::value(TaskStatus::Uploaded))
        .col_expr(Column::WorkerId, Expr::value(Option::<String>::None))
        .col_expr(Column::LeaseUntilMs, Expr::value(Option::<i64>::None))
        .col_expr(Column::Progress, Expr::value(Option::<Json>::None))
        .col_expr(Column::RunAtMs, run_at_ms)
}

/// Writes the rows that follow a final status. Call it as the end of the transaction that set the status of these
/// tasks.
pub(super) async fn record_final(db: &DatabaseTransaction, kind: EventType, tasks: &[i64]) -> Result<(), DbErr> {
    let mut events = Vec::with_capacity(tasks.len());
    for task in tasks {
        image_use::remove(db, *task).await?;
        events.push(New::of_task(db, kind, TaskId(*task)).await?);
    }
    event::append(db, events).await
}

/// Appends to the logs that a task has been processed. Call it as the end of the transaction that set the status.
///
/// # Errors
/// Any database error.
pub async fn append_processed(db: &DatabaseTransaction, task: &Model) -> Result<(), DbErr> {
    let video = video::of_processed(db, task.task_id(), task.source_id).await?;
    let mut events = vec![New::of_task(db, EventType::TaskProcessed, task.task_id()).await?];
    if let Some((video, true)) = &video {
        events.push(New::of_video(EventType::VideoPublished, video)?);
    }
    event::append(db, events).await?;
    let changed: Vec<_> = video.iter().map(|(video, _)| Subject::Video(video.id)).collect();
    library_change::append(db, &changed).await.map(drop)
}
