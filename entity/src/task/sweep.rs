//! Finding the lost: expired leases go back or are given up, due tasks are rung. This loop, not the queue, is the
//! guarantee.

use super::claim::{back, ended};
use super::{Column, Entity, TaskStatus};
use domain::{Code, Status, TaskId};
use sea_orm::ExprTrait;
use sea_orm::entity::prelude::*;
use sea_orm::{QueryOrder, QuerySelect};
use std::time::Duration;

/// A task whose worker vanished this often is given up.
const CRASHES: i32 = 3;

/// A ring older than this was lost.
const RING_LOST: Duration = Duration::from_secs(60);

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Back to waiting.
    pub returned: u64,
    /// Given up with `worker_crash`.
    pub given_up: u64,
}

/// Takes every task with an expired lease away from its worker. Call it in a transaction.
///
/// # Errors
/// Those of the database.
pub async fn sweep(db: &impl ConnectionTrait) -> Result<Swept, DbErr> {
    let expired = || {
        let processing = Entity::update_many().filter(Column::Status.eq(TaskStatus::Processing));
        processing
            .filter(Expr::col(Column::LeaseUntilMs).lt(crate::now_ms(db)))
            .col_expr(Column::Failures, Expr::col(Column::Failures).add(1))
            .col_expr(Column::ErrorCode, Expr::value(Code::WorkerCrash.as_str()))
            .col_expr(Column::ErrorDetail, Expr::value("the worker stopped without a word"))
    };
    let last = expired().filter(Column::Failures.gte(CRASHES - 1));
    let given_up = ended(last, TaskStatus::Failed).exec_with_returning(db).await?;
    for task in &given_up {
        super::note_end(db, task.id, task.attempt, Status::Failed).await?;
    }
    let returned = back(expired(), Expr::value(0_i64)).exec(db).await?.rows_affected;
    Ok(Swept {
        returned,
        given_up: given_up.len().try_into().unwrap_or(u64::MAX),
    })
}

/// Waiting tasks that are due and that nobody rang for in the last minute, the oldest first.
///
/// # Errors
/// Those of the database.
pub async fn due(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<TaskId>, DbErr> {
    let lost_before = crate::in_ms(db, -crate::millis(RING_LOST));
    let unrung = Column::RungAtMs
        .is_null()
        .or(Expr::col(Column::RungAtMs).lt(lost_before));
    let waiting = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::Status.eq(TaskStatus::Uploaded));
    let due = waiting
        .filter(Expr::col(Column::RunAtMs).lte(crate::now_ms(db)))
        .filter(unrung);
    let ids: Vec<i64> = due.order_by_asc(Column::Id).limit(limit).into_tuple().all(db).await?;
    Ok(ids.into_iter().map(TaskId).collect())
}

/// Notes that the doorbell was rung for these tasks, as far as they still wait and are due.
///
/// # Errors
/// Those of the database.
pub async fn mark_rung(db: &impl ConnectionTrait, tasks: &[TaskId]) -> Result<(), DbErr> {
    let update = Entity::update_many().col_expr(Column::RungAtMs, crate::now_ms(db));
    update
        .filter(Column::Id.is_in(tasks.iter().map(|task| task.0)))
        .filter(Column::Status.eq(TaskStatus::Uploaded))
        .filter(Expr::col(Column::RunAtMs).lte(crate::now_ms(db)))
        .exec(db)
        .await
        .map(|_| ())
}
