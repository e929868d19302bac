//! Taking tasks back from workers that are gone: those whose lease expired, those of a process that has started again, and
//! claims whose answer got lost on its way to the worker.

use super::claim::{back, ended};
use super::{Claim, Column, Entity, TaskStatus};
use domain::{Code, Status, WorkerId};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, ExprTrait};

/// A task whose worker vanished this often is given up.
const CRASHES: i32 = 3;

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
pub async fn sweep(db: &DatabaseTransaction) -> Result<Swept, DbErr> {
    take_back(db, Expr::col(Column::LeaseUntilMs).lt(crate::now_ms(db))).await
}

/// Takes the tasks of workers that are known to be dead away from them before their leases expire. Call it in a
/// transaction.
///
/// # Errors
/// Those of the database.
pub async fn reclaim(db: &DatabaseTransaction, dead: &[WorkerId]) -> Result<Swept, DbErr> {
    let ids = dead.iter().map(|worker| worker.0.as_str());
    take_back(db, Column::WorkerId.is_in(ids)).await
}

/// A worker that vanished counts as a failed try: a task that kills its worker must come to an end.
async fn take_back(db: &DatabaseTransaction, lost: Expr) -> Result<Swept, DbErr> {
    let lost = || {
        let processing = Entity::update_many().filter(Column::Status.eq(TaskStatus::Processing));
        processing
            .filter(lost.clone())
            .col_expr(Column::Failures, Expr::col(Column::Failures).add(1))
            .col_expr(Column::ErrorCode, Expr::value(Code::WorkerCrash.as_str()))
            .col_expr(Column::ErrorDetail, Expr::value("the worker stopped without a word"))
    };
    let last = lost().filter(Column::Failures.gte(CRASHES - 1));
    let given_up = ended(last, TaskStatus::Failed).exec_with_returning(db).await?;
    for task in &given_up {
        super::note_end(db, task.id, task.attempt, Status::Failed).await?;
    }
    let returned = back(lost(), Expr::value(0_i64)).exec(db).await?.rows_affected;
    Ok(Swept {
        returned,
        given_up: given_up.len().try_into().unwrap_or(u64::MAX),
    })
}

/// Gives back the tasks that the database ascribes to a living worker and that are not among those it works on: a claim
/// whose answer got lost has happened all the same. No failure is counted. Returns how many there were.
///
/// # Errors
/// Those of the database.
pub async fn release_others(db: &impl ConnectionTrait, worker: &WorkerId, held: &[Claim]) -> Result<u64, DbErr> {
    let lost = Entity::update_many()
        .filter(Column::Status.eq(TaskStatus::Processing))
        .filter(Column::WorkerId.eq(worker.0.as_str()))
        .filter(Column::Id.is_not_in(held.iter().map(|claim| claim.task.0)));
    back(lost, Expr::value(0_i64))
        .exec(db)
        .await
        .map(|done| done.rows_affected)
}
