//! A worker's hold on a task: taking it, keeping it, and the writes that end an attempt.

use super::{Column, Entity, Model, TaskStatus};
use crate::trace::{self, Findings};
use crate::{RawJson, output, source, user};
use domain::{Failure, Status, TaskId};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::IntoCondition;
use sea_orm::{DatabaseTransaction, ExprTrait, QueryOrder, UpdateMany};
use std::time::Duration;

/// How long a claim holds without a beat.
pub const LEASE: Duration = Duration::from_secs(30);

/// What a finished attempt brings home.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its outputs, stored.
    pub outputs: Vec<output::New>,
    /// What was done and why.
    pub findings: Findings,
    /// Tasks of an account with the same one have the same outputs.
    pub fingerprint: String,
}

/// What a worker holds of a task: its id and the attempt that fences its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The task.
    pub task: TaskId,
    /// The attempt it owns.
    pub attempt: i32,
}

impl Claim {
    /// The claim that [`claim_next`](super::claim_next) returned as a row.
    #[must_use]
    pub const fn of(task: &Model) -> Self {
        Self {
            task: TaskId(task.id),
            attempt: task.attempt,
        }
    }

    /// An update that touches the row only while this claim holds.
    fn update(self) -> UpdateMany<Entity> {
        let mine = Column::Id
            .eq(self.task.0)
            .and(Column::Status.eq(TaskStatus::Processing));
        Entity::update_many().filter(mine.and(Column::Attempt.eq(self.attempt)).into_condition())
    }

    /// Renews the lease and shows how far the work is. `false`: the task was canceled or somebody else has it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn beat(self, db: &impl ConnectionTrait, progress: Option<Json>) -> Result<bool, DbErr> {
        let update = self
            .update()
            .col_expr(Column::LeaseUntilMs, crate::in_ms(db, crate::millis(LEASE)));
        let update = match progress {
            Some(progress) => update.col_expr(Column::Progress, Expr::value(progress)),
            None => update,
        };
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Publishes the outputs and marks the task processed, in the caller's transaction. `false`: the claim is lost,
    /// nothing was written.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn succeed(self, db: &DatabaseTransaction, made: Made) -> Result<bool, DbErr> {
        let Made {
            outputs,
            findings: Findings { report, plan },
            fingerprint,
        } = made;
        let update = ended(self.update(), TaskStatus::Processed)
            .col_expr(Column::Report, Expr::value(report))
            .col_expr(Column::Fingerprint, Expr::value(fingerprint));
        if update.exec(db).await?.rows_affected == 0 {
            return Ok(false);
        }
        trace::keep(db, self.task.0, plan).await?;
        output::publish(db, self.task.0, outputs).await?;
        super::note_end(db, self.task.0, self.attempt, Status::Processed).await?;
        Ok(true)
    }

    /// Whether this attempt is the one that made the task processed. A commit whose answer got lost has happened all the same.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn has_succeeded(self, db: &impl ConnectionTrait) -> Result<bool, DbErr> {
        let task = super::by_id(db, self.task).await?;
        Ok(task.is_some_and(|task| task.status == TaskStatus::Processed && task.attempt == self.attempt))
    }

    /// Gives the task the outputs of an earlier one of the same account with this fingerprint and marks it processed;
    /// call it in a transaction. `None`: there is no such task, or the claim is lost; nothing was written.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn reuse(self, db: &DatabaseTransaction, fingerprint: &str) -> Result<Option<TaskId>, DbErr> {
        let Some(task) = super::by_id(db, self.task).await? else {
            return Ok(None);
        };
        // Nobody removes the earlier task, and with it the files, before this one names them.
        user::lock(db, task.owner()).await?;
        let earlier = Entity::find()
            .filter(Column::UserId.eq(task.user_id))
            .filter(Column::Fingerprint.eq(fingerprint))
            .filter(Column::Status.eq(TaskStatus::Processed))
            .order_by_desc(Column::Id);
        let Some(earlier) = earlier.one(db).await? else {
            return Ok(None);
        };
        let report = earlier.report.as_ref().map(RawJson::read).transpose();
        let mut report: Json = report
            .map_err(|error| DbErr::Json(error.to_string()))?
            .unwrap_or_default();
        if let Some(report) = report.as_object_mut() {
            report.insert("reused_from".to_owned(), earlier.id.into());
        }
        let trace = trace::of_task(db, earlier.id).await?;
        let plan = trace.and_then(|trace| trace.plan);
        let made = Made {
            outputs: Vec::new(),
            findings: Findings { report, plan },
            fingerprint: fingerprint.to_owned(),
        };
        if !self.succeed(db, made).await? {
            return Ok(None);
        }
        output::share(db, earlier.id, self.task.0).await?;
        source::share_probe(db, earlier.source_id, task.source_id).await?;
        Ok(Some(TaskId(earlier.id)))
    }

    /// Ends the attempt with a failure: due again after `retry`, or failed for good. `findings` tell what is known of it;
    /// call it in a transaction. `false`: the claim is lost, nothing was written.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn fail(
        self,
        db: &DatabaseTransaction,
        failure: &Failure,
        retry: Option<Duration>,
        findings: &Findings,
    ) -> Result<bool, DbErr> {
        let update = match retry {
            Some(delay) => back(self.update(), crate::in_ms(db, crate::millis(delay))),
            None => ended(self.update(), TaskStatus::Failed),
        };
        let update = update
            .col_expr(Column::Failures, Expr::col(Column::Failures).add(1))
            .col_expr(Column::Report, Expr::value(findings.report.clone()))
            .col_expr(Column::ErrorCode, Expr::value(failure.code.as_str()))
            .col_expr(Column::ErrorDetail, Expr::value(failure.detail.clone()));
        let held = update.exec(db).await?.rows_affected == 1;
        if held {
            trace::keep(db, self.task.0, findings.plan.clone()).await?;
        }
        if held && retry.is_none() {
            super::note_end(db, self.task.0, self.attempt, Status::Failed).await?;
        }
        Ok(held)
    }

    /// Gives the task back unfinished, as at a shutdown: due after `delay`, no failure counted. `false`: the claim is lost.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn release(self, db: &impl ConnectionTrait, delay: Duration) -> Result<bool, DbErr> {
        let update = back(self.update(), crate::in_ms(db, crate::millis(delay)));
        Ok(update.exec(db).await?.rows_affected == 1)
    }
}

/// Into a final state.
pub(super) fn ended(update: UpdateMany<Entity>, status: TaskStatus) -> UpdateMany<Entity> {
    update
        .col_expr(Column::Status, Expr::value(status))
        .col_expr(Column::LeaseUntilMs, Expr::value(Option::<i64>::None))
        .col_expr(Column::FinishedAt, Expr::value(crate::now()))
}

/// Back to waiting.
pub(super) fn back(update: UpdateMany<Entity>, run_at_ms: Expr) -> UpdateMany<Entity> {
    update
        .col_expr(Column::Status, Expr::value(TaskStatus::Uploaded))
        .col_expr(Column::WorkerId, Expr::value(Option::<String>::None))
        .col_expr(Column::LeaseUntilMs, Expr::value(Option::<i64>::None))
        .col_expr(Column::Progress, Expr::value(Option::<Json>::None))
        .col_expr(Column::RunAtMs, run_at_ms)
}
