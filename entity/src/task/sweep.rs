//! Taking tasks back from workers that are gone: tasks with an expired lease, tasks of a process that has restarted,
//! and claims whose reply never reached the worker.
//!
//! The conditions name the lease or the worker instead of the attempt, so they match the current attempt of each task.
//! After the update, the writes of that attempt match no row.

use super::transition::{record_final, set_final, set_waiting};
use super::{Claim, Column, EARLIER_ATTEMPT, Entity, Model, TaskStatus};
use domain::{Code, EventType, FailureClass, TaskId, UserId, WorkerId};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{BinOper, CaseStatement, SimpleExpr};
use sea_orm::{DatabaseTransaction, ExprTrait};

/// The tasks that were taken back, with their accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Returned to `uploaded`.
    pub returned: Vec<(UserId, TaskId)>,
    /// Ended as `failed` with `worker_crash`.
    pub failed: Vec<(UserId, TaskId)>,
}

/// Ends the attempts of all tasks with an expired lease. Call it in a transaction.
///
/// # Errors
/// Any database error.
pub async fn sweep(db: &DatabaseTransaction) -> Result<Swept, DbErr> {
    take_back(db, Expr::col(Column::LeaseUntilMs).lt(crate::now_ms(db))).await
}

/// Ends the attempts of workers that are known to be dead, before their leases expire. Call it in a transaction.
///
/// # Errors
/// Any database error.
pub async fn return_tasks_of(db: &DatabaseTransaction, dead: &[WorkerId]) -> Result<Swept, DbErr> {
    let ids = dead.iter().map(|worker| worker.0.as_str());
    take_back(db, Column::WorkerId.is_in(ids)).await
}

/// Ends the attempts that match `lost`, each as a failure of [`FailureClass::WorkerCrash`]: a task that kills its
/// worker must not run for ever.
async fn take_back(db: &DatabaseTransaction, lost: Expr) -> Result<Swept, DbErr> {
    let max_retries = FailureClass::WorkerCrash.max_retries().unwrap_or(u32::MAX);
    let update = || {
        let processing = Entity::update_many().filter(Column::Status.eq(TaskStatus::Processing));
        processing
            .filter(lost.clone())
            .col_expr(Column::Failures, Expr::col(Column::Failures).add(1))
            .col_expr(Column::ErrorCode, Expr::value(Code::WorkerCrash.as_str()))
            .col_expr(Column::ErrorDetail, lost_detail())
    };
    let last = update().filter(Column::Failures.gte(i64::from(max_retries)));
    let failed = set_final(last, TaskStatus::Failed).exec_with_returning(db).await?;
    let returned = set_waiting(update(), Expr::value(0_i64));
    let returned = returned.exec_with_returning(db).await?;
    let ended: Vec<_> = failed.iter().map(|task| task.id).collect();
    record_final(db, EventType::TaskFailed, &ended).await?;
    let ids = |tasks: Vec<Model>| tasks.iter().map(|task| (task.owner(), task.task_id())).collect();
    Ok(Swept {
        returned: ids(returned),
        failed: ids(failed),
    })
}

/// The concatenation of texts in both databases.
const CONCAT: BinOper = BinOper::Custom("||");

/// The detail of a task whose worker was lost. It keeps the failure of an earlier attempt, which may be the reason.
fn lost_detail() -> SimpleExpr {
    const LOST: &str = "the worker stopped without reporting a result";
    let detail = || Expr::col(Column::ErrorDetail).if_null("");
    let earlier = [Expr::col(Column::ErrorCode), Expr::value(": "), detail()];
    let all = earlier
        .into_iter()
        .fold(Expr::value(format!("{LOST}{EARLIER_ATTEMPT}")), |text, part| {
            text.binary(CONCAT, part)
        });
    CaseStatement::new()
        .case(Column::ErrorCode.is_null(), LOST)
        // Its detail has the earlier failures already.
        .case(Column::ErrorCode.eq(Code::WorkerCrash.as_str()), detail())
        .finally(all)
        .into()
}

/// Returns the tasks that are claimed by a living `worker` but are not among the claims that it holds, without counting
/// a failure: their claims were committed but the reply was lost. Returns the number of tasks.
///
/// # Errors
/// Any database error.
pub async fn release_unknown(db: &impl ConnectionTrait, worker: &WorkerId, held: &[Claim]) -> Result<u64, DbErr> {
    let lost = Entity::update_many()
        .filter(Column::Status.eq(TaskStatus::Processing))
        .filter(Column::WorkerId.eq(worker.0.as_str()))
        .filter(Column::Id.is_not_in(held.iter().map(|claim| claim.task().0)));
    set_waiting(lost, Expr::value(0_i64))
        .exec(db)
        .await
        .map(|result| result.rows_affected)
}
