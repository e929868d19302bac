//! Claim and lease: how a worker owns a task, and the writes that end an attempt.
//!
//! *Problem.* Many workers share one table of tasks. Each task must be worked on by one worker at a time, a task of a
//! dead worker must not stay in processing, and a worker that was only slow must not overwrite the work of its
//! successor.
//!
//! *Mechanism.* [`claim_next`](fn@super::claim_next) sets `processing`, increments `attempt` and takes a
//! lease ([`crate::lease`]), in one statement. The worker holds the result as a [`Claim`] and renews the lease
//! with every report of its progress ([`Claim::renew`]). An attempt ends with [`Claim::succeed`], [`Claim::reuse`],
//! [`Claim::fail`] or [`Claim::release`]. If the lease expires, [`sweep`](fn@super::sweep) ends the attempt as failed.
//!
//! *Invariants.*
//! - `attempt` never decreases. It is a fencing token: every write of a worker has the condition
//!   `status = 'processing' AND attempt = ?`. After a cancel, a sweep or a new claim it matches no row.
//! - No transaction or lock is held while a worker works. Its only ties to the database are the lease and the attempt.
//! - A final status, the published outputs and the event are committed together.
//! - A commit may have happened although its reply was lost. [`Claim::has_succeeded`] tells; a lost claim is returned
//!   by [`release_unknown`](super::release_unknown).
//!
//! *Rejected.* Ownership by a message of the queue: losing Redis would lose the ownership. Row locks held during the
//! work: they end with the connection, and a long transaction keeps Postgres from removing dead rows. The clocks of
//! workers: they differ.

use super::transition::{record_final, set_final, set_waiting};
use super::{Column, Entity, Model, TaskStatus};
use crate::trace::{self, AttemptRecord};
use crate::{RawJson, image_use, lease, output, source, user};
use domain::{EventType, Failure, TaskId, TaskReport};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::IntoCondition;
use sea_orm::{DatabaseTransaction, ExprTrait, QueryOrder, UpdateMany};
use std::ops::Deref;
use std::time::Duration;

/// The result of a successful attempt: stored outputs, report and fingerprint.
#[derive(Clone, Debug)]
pub struct AttemptResult {
    /// The verified and stored outputs, the main one first.
    pub outputs: Vec<output::New>,
    /// The report and the plan.
    pub record: AttemptRecord,
    /// Hash of everything that determines the outputs; see [`Model::fingerprint`].
    pub fingerprint: String,
}

/// A claimed task. Only [`claim_next`](fn@super::claim_next) makes one.
#[derive(Clone, Debug)]
pub struct Claimed(pub(super) Model);

impl Claimed {
    /// The claim on the task.
    #[must_use]
    pub const fn claim(&self) -> Claim {
        Claim {
            task: TaskId(self.0.id),
            attempt: self.0.attempt,
        }
    }
}

impl Deref for Claimed {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.0
    }
}

/// A worker's ownership of a task: the task and the attempt that fences its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    task: TaskId,
    attempt: i32,
}

impl Claim {
    /// The task.
    #[must_use]
    pub const fn task(self) -> TaskId {
        self.task
    }

    /// The claimed attempt.
    #[must_use]
    pub const fn attempt(self) -> i32 {
        self.attempt
    }

    /// An update that matches the row only while this claim is valid.
    fn update(self) -> UpdateMany<Entity> {
        let mine = Column::Id
            .eq(self.task.0)
            .and(Column::Status.eq(TaskStatus::Processing));
        Entity::update_many().filter(mine.and(Column::Attempt.eq(self.attempt)).into_condition())
    }

    /// Renews the lease and stores the progress. Returns `false` when the task was canceled or claimed again.
    ///
    /// # Errors
    /// Any database error.
    pub async fn renew(self, db: &impl ConnectionTrait, progress: Option<Json>) -> Result<bool, DbErr> {
        let update = self.update().col_expr(Column::LeaseUntilMs, lease::end(db));
        let update = match progress {
            Some(progress) => update.col_expr(Column::Progress, Expr::value(progress)),
            None => update,
        };
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Publishes the outputs and sets `processed`, in the caller's transaction, which ends with
    /// [`append_processed`](super::append_processed). Returns `false` when the claim is lost; nothing was written then.
    ///
    /// # Errors
    /// Any database error.
    pub async fn succeed(self, db: &DatabaseTransaction, result: AttemptResult) -> Result<bool, DbErr> {
        let AttemptResult {
            outputs,
            record,
            fingerprint,
        } = result;
        let update = set_final(self.update(), TaskStatus::Processed)
            .col_expr(Column::Report, Expr::value(record.report_json()?))
            .col_expr(Column::Fingerprint, Expr::value(fingerprint));
        if update.exec(db).await?.rows_affected == 0 {
            return Ok(false);
        }
        trace::replace(db, self.task.0, record.plan).await?;
        output::publish(db, self.task.0, outputs).await?;
        image_use::remove(db, self.task.0).await?;
        Ok(true)
    }

    /// Returns `true` when this attempt set the task to `processed`. For a worker that lost the reply to its commit.
    ///
    /// # Errors
    /// Any database error.
    pub async fn has_succeeded(self, db: &impl ConnectionTrait) -> Result<bool, DbErr> {
        let task = super::by_id(db, self.task).await?;
        Ok(task.is_some_and(|task| task.status == TaskStatus::Processed && task.attempt == self.attempt))
    }

    /// Gives the task the outputs of an earlier task of the account with this fingerprint, and sets `processed`, as
    /// [`Claim::succeed`] does. Returns the earlier task, or `None` when there is none or the claim is lost; nothing
    /// was written then.
    ///
    /// # Errors
    /// Any database error.
    pub async fn reuse(self, db: &DatabaseTransaction, fingerprint: &str) -> Result<Option<TaskId>, DbErr> {
        let Some(task) = super::by_id(db, self.task).await? else {
            return Ok(None);
        };
        // Keeps the earlier task and its files from being removed before this task refers to the files.
        user::lock(db, task.owner()).await?;
        let earlier = Entity::find()
            .filter(Column::UserId.eq(task.user_id))
            .filter(Column::Fingerprint.eq(fingerprint))
            .filter(Column::Status.eq(TaskStatus::Processed))
            .order_by_desc(Column::Id);
        let Some(earlier) = earlier.one(db).await? else {
            return Ok(None);
        };
        let report = earlier.report.as_ref().map(RawJson::read::<TaskReport>).transpose();
        let report = match report {
            Ok(report) => report.unwrap_or_default(),
            // Stored by another version. Without it, the new task would not have the warnings about its outputs.
            Err(error) => {
                tracing::warn!(%error, task.id = earlier.id, "failed to read a report; its outputs are not reused");
                return Ok(None);
            }
        };
        let report = TaskReport {
            reused_from: Some(earlier.task_id()),
            ..report
        };
        let trace = trace::of_task(db, earlier.id).await?;
        let plan = trace.and_then(|trace| trace.plan);
        let result = AttemptResult {
            // The rows are copied below, since the files stay where they are.
            outputs: Vec::new(),
            record: AttemptRecord { report, plan },
            fingerprint: fingerprint.to_owned(),
        };
        if !self.succeed(db, result).await? {
            return Ok(None);
        }
        output::share(db, earlier.id, self.task.0).await?;
        source::share_probe(db, earlier.source_id, task.source_id).await?;
        Ok(Some(TaskId(earlier.id)))
    }

    /// Ends the attempt as failed: the task is due again after `retry`, or `failed` without one. Stores the report and
    /// the plan as far as they are known. Call it as the end of a transaction. Returns `false` when the claim is lost;
    /// nothing was written then.
    ///
    /// # Errors
    /// Any database error.
    pub async fn fail(
        self,
        db: &DatabaseTransaction,
        failure: &Failure,
        retry: Option<Duration>,
        record: &AttemptRecord,
    ) -> Result<bool, DbErr> {
        let update = match retry {
            Some(delay) => set_waiting(self.update(), crate::in_ms(db, crate::millis(delay))),
            None => set_final(self.update(), TaskStatus::Failed),
        };
        let update = update
            .col_expr(Column::Failures, Expr::col(Column::Failures).add(1))
            .col_expr(Column::Report, Expr::value(record.report_json()?))
            .col_expr(Column::ErrorCode, Expr::value(failure.code.as_str()))
            .col_expr(Column::ErrorDetail, Expr::value(failure.detail.clone()));
        let is_ours = update.exec(db).await?.rows_affected == 1;
        if is_ours {
            trace::replace(db, self.task.0, record.plan.clone()).await?;
        }
        if is_ours && retry.is_none() {
            record_final(db, EventType::TaskFailed, &[self.task.0]).await?;
        }
        Ok(is_ours)
    }

    /// Returns the task unfinished, due after `delay`, and counts no failure; used at a shutdown. Returns `false` when
    /// the claim is lost.
    ///
    /// # Errors
    /// Any database error.
    pub async fn release(self, db: &impl ConnectionTrait, delay: Duration) -> Result<bool, DbErr> {
        let update = set_waiting(self.update(), crate::in_ms(db, crate::millis(delay)));
        Ok(update.exec(db).await?.rows_affected == 1)
    }
}
