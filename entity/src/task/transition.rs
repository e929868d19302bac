//! Parts of the `UPDATE`s that change a status, and the rows that follow a final status.

use super::{Column, Entity, TaskStatus};
use crate::{event, image_use};
use domain::Status;
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

/// Writes the rows that follow a final status. Call it in the same transaction, after the update that set the status.
pub(super) async fn record_final(
    db: &DatabaseTransaction,
    task: i64,
    attempt: i32,
    status: Status,
) -> Result<(), DbErr> {
    image_use::remove(db, task).await?;
    event::append(db, task, attempt, status).await
}
