//! Append-only tables that other processes read by position.
//!
//! # Problem
//!
//! A reader that follows a table with `WHERE seq > position ORDER BY seq` misses rows on Postgres: a sequence gives its
//! numbers at the insert, and rows become visible at the commit. A transaction that drew 7 may commit after one that
//! drew 8, when the reader has already passed both numbers.
//!
//! # Mechanism
//!
//! [`lock_appends`] takes an advisory lock of the log before the insert draws its number. Postgres releases the lock
//! when the transaction has ended, after its rows are visible. So numbers are drawn in the order of the commits, and
//! one integer is a position. The same statement works on SQLite, which has one writer at a time.
//!
//! # Invariants
//!
//! - Only modules that call [`lock_appends`] insert into a log.
//! - An append is the last statement of its transaction that takes a lock: while it waits, it holds all others, and
//!   while it is held, every other append waits.
//! - The newest row of a log is never deleted. It shows that a position belongs to this database.
//!
//! # Rejected
//!
//! Reading only rows below `pg_snapshot_xmin`: a transaction that stays open anywhere in the cluster holds all readers
//! back, and after a restore into a new cluster transaction numbers start again, below every stored position.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement};

/// The first key of the advisory locks, so that they differ from those of other programs on the same database.
const LOCK_CLASS: i32 = 0x0072_7573;

/// A log. The number is the second key of its advisory lock.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Log {
    /// Table `library_changes`.
    LibraryChanges = 1,
    /// Table `events`. A transaction that appends to both logs appends to this one first.
    Events = 2,
}

/// Lets this transaction alone append to the log until it ends. After two seconds of waiting, the error satisfies
/// [`crate::is_unavailable`].
pub(crate) async fn lock_appends(db: &DatabaseTransaction, log: Log) -> Result<(), DbErr> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    // A process that dies inside its transaction keeps the lock until Postgres ends the transaction.
    db.execute_unprepared("SET LOCAL lock_timeout = '2s'").await?;
    let values = [LOCK_CLASS.into(), (log as i32).into()];
    let lock = Statement::from_sql_and_values(DbBackend::Postgres, "SELECT pg_advisory_xact_lock($1, $2)", values);
    db.execute_raw(lock).await.map(|_| ())
}
