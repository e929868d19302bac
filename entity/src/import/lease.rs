//! The lease of a worker on an import, and what it writes.

use super::{CLOSED, Column, Entity, Model, OPEN, Status, column, ended};
use crate::lease;
use domain::manifest::RowStatus;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::SimpleExpr;
use sea_orm::{Condition, DatabaseConnection, DatabaseTransaction, ExprTrait, QueryOrder, QuerySelect, UpdateMany};
use std::time::Duration;

/// The right of one worker to work on an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportLease {
    id: i64,
    holder: String,
}

/// The position up to which the rows of a file were copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The unpacked byte at which the next row begins.
    pub byte: u64,
    /// Its line.
    pub line: u64,
    /// Number of rows that were read.
    pub rows_read: u64,
}

/// Numbers of lookups of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "explained by `LookupStatus`")]
pub struct LookupCounts {
    pub found: i64,
    pub no_data: i64,
    pub failed: i64,
}

/// Takes the import that waits longest. `holder` must be unique to the caller. An import that was canceled or has
/// failed is taken while rows of it are `working`. `None` if no import is due.
///
/// # Errors
/// Any database error.
pub async fn take_due(db: &DatabaseConnection, holder: &str) -> Result<Option<(ImportLease, Model)>, DbErr> {
    let is_due = Condition::all()
        .add(Expr::col(Column::RunAtMs).lte(crate::now_ms(db)))
        .add(
            Condition::any()
                .add(Column::Holder.is_null())
                .add(Expr::col(Column::UntilMs).lte(crate::now_ms(db))),
        )
        .add(
            Condition::any()
                .add(Column::Status.is_in(OPEN))
                .add(Column::Status.is_in(CLOSED).and(Column::Working.gt(0))),
        );
    let due = Entity::find().select_only().column(Column::Id).filter(is_due.clone());
    let due = due.order_by_asc(Column::RunAtMs).order_by_asc(Column::Id).limit(1);
    let Some(id) = due.into_tuple::<i64>().one(db).await? else {
        return Ok(None);
    };
    let update = Entity::update_many()
        .filter(Column::Id.eq(id))
        .filter(is_due)
        .col_expr(Column::Holder, Expr::value(holder))
        .col_expr(Column::UntilMs, lease::end(db));
    let taken = update.exec_with_returning(db).await?.pop();
    let holder = holder.to_owned();
    Ok(taken.map(|row| (ImportLease { id, holder }, row)))
}

impl ImportLease {
    /// The condition of every write: the import is held by this worker.
    fn held(&self) -> UpdateMany<Entity> {
        Entity::update_many()
            .filter(Column::Id.eq(self.id))
            .filter(Column::Holder.eq(self.holder.as_str()))
    }

    /// Renews the lease. Returns `false` if the import was canceled, or another worker has it.
    ///
    /// # Errors
    /// Any database error.
    pub async fn renew(&self, db: &impl ConnectionTrait) -> Result<bool, DbErr> {
        let renewed = self.held().col_expr(Column::UntilMs, lease::end(db)).exec(db).await?;
        Ok(renewed.rows_affected == 1)
    }

    /// Records the format of the file, and that its rows are being read.
    ///
    /// # Errors
    /// Any database error.
    pub async fn begin(&self, db: &impl ConnectionTrait, layout: Json) -> Result<bool, DbErr> {
        let update = self.held().filter(Column::Status.is_in(OPEN));
        let update = update
            .col_expr(Column::Layout, Expr::value(layout))
            .col_expr(Column::Status, Expr::value(Status::Staging));
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Records how far the file was read, in the transaction that inserts the rows, and renews the lease; with `None`,
    /// that all rows were read. `counts` are the new rows by state. Returns `false` if the worker has lost the import;
    /// the caller must roll back then.
    ///
    /// # Errors
    /// Any database error.
    pub async fn stage(
        &self,
        db: &DatabaseTransaction,
        at: Option<Checkpoint>,
        counts: &[(RowStatus, u64)],
    ) -> Result<bool, DbErr> {
        let stored = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let update = self
            .held()
            .filter(Column::Status.is_in(OPEN))
            .col_expr(Column::UntilMs, lease::end(db));
        let mut update = match at {
            Some(at) => update
                .col_expr(Column::Byte, Expr::value(stored(at.byte)))
                .col_expr(Column::Line, Expr::value(stored(at.line)))
                .col_expr(Column::RowsRead, Expr::value(stored(at.rows_read))),
            None => update
                .col_expr(Column::IsStaged, Expr::value(true))
                .col_expr(Column::Status, Expr::value(Status::Running)),
        };
        for (status, rows) in counts {
            let column = column(*status);
            update = update.col_expr(column, Expr::col(column).add(stored(*rows)));
        }
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Counts rows that go from one state to another, in the transaction that changes them, and renews the lease.
    /// Returns `false` if the worker has lost the import; the caller must roll back then.
    ///
    /// # Errors
    /// Any database error.
    pub async fn add(&self, db: &DatabaseTransaction, from: RowStatus, to: &[(RowStatus, u64)]) -> Result<bool, DbErr> {
        let mut update = self.held().col_expr(Column::UntilMs, lease::end(db));
        let gone: u64 = to.iter().map(|(_, rows)| rows).sum();
        let by = |status, rows: i64| -> SimpleExpr { Expr::col(column(status)).add(rows) };
        let signed = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
        update = update.col_expr(column(from), by(from, -signed(gone)));
        for (status, rows) in to {
            update = update.col_expr(column(*status), by(*status, signed(*rows)));
        }
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Counts lookups of rows up to the row `up_to`, in the transaction that stores them, and renews the lease. With
    /// `is_answered`, the import no longer waits for the service. Returns
    /// `false` if the worker has lost the import; the caller must roll back then.
    ///
    /// # Errors
    /// Any database error.
    pub async fn looked_up(
        &self,
        db: &impl ConnectionTrait,
        up_to: i64,
        counts: LookupCounts,
        is_answered: bool,
    ) -> Result<bool, DbErr> {
        let mut update = self
            .held()
            .filter(Column::Status.is_in(OPEN))
            .col_expr(Column::UntilMs, lease::end(db))
            .col_expr(Column::LookupRow, Expr::value(up_to));
        if is_answered {
            update = update.col_expr(Column::LookupWaits, Expr::value(0_i64));
        }
        for (column, count) in [
            (Column::LookupFound, counts.found),
            (Column::LookupNoData, counts.no_data),
            (Column::LookupFailed, counts.failed),
        ] {
            update = update.col_expr(column, Expr::col(column).add(count));
        }
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Counts a step that waits for the lookup service.
    ///
    /// # Errors
    /// Any database error.
    pub async fn wait_for_lookup(&self, db: &impl ConnectionTrait) -> Result<bool, DbErr> {
        let update = self.held().filter(Column::Status.is_in(OPEN));
        let update = update.col_expr(Column::LookupWaits, Expr::col(Column::LookupWaits).add(1_i64));
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Ends the import when all its rows have ended: `done`, or `done_with_errors`. Returns `false` while rows have not
    /// ended, or if the worker has lost the import.
    ///
    /// # Errors
    /// Any database error.
    pub async fn finish(&self, db: &impl ConnectionTrait) -> Result<bool, DbErr> {
        for (status, has_errors) in [(Status::Done, false), (Status::DoneWithErrors, true)] {
            let update = self.held().filter(Column::Status.is_in(OPEN));
            let update = update
                .filter(Column::IsStaged.eq(true))
                .filter(Column::Pending.eq(0))
                .filter(Column::Working.eq(0));
            let update = if has_errors {
                update.filter(Column::Error.gt(0))
            } else {
                update.filter(Column::Error.eq(0))
            };
            if ended(update, status).exec(db).await?.rows_affected == 1 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends the import with the error of its file. The rows that were read keep their state.
    ///
    /// # Errors
    /// Any database error.
    pub async fn fail(&self, db: &impl ConnectionTrait, code: &str, detail: &str) -> Result<bool, DbErr> {
        let update = self.held().filter(Column::Status.is_in(OPEN));
        let update = update
            .col_expr(Column::ErrorCode, Expr::value(code))
            .col_expr(Column::ErrorDetail, Expr::value(detail));
        let failed = ended(update, Status::Failed).exec(db).await?;
        Ok(failed.rows_affected == 1)
    }

    /// Releases the import; its next step begins after `pause`. `failures` counts the steps in a row that failed.
    ///
    /// # Errors
    /// Any database error.
    pub async fn release(&self, db: &impl ConnectionTrait, pause: Duration, failures: i32) -> Result<(), DbErr> {
        let update = self
            .held()
            .col_expr(Column::Holder, Expr::value(Option::<String>::None))
            .col_expr(Column::RunAtMs, crate::in_ms(db, crate::millis(pause)))
            .col_expr(Column::Failures, Expr::value(failures));
        update.exec(db).await.map(drop)
    }
}
