//! SQLite: options of a connection, which connections may be used again, and when a commit counts.
//!
//! On a full disk SQLite rolls a transaction back by itself. The `ROLLBACK` of sqlx fails then, sqlx counts the connection
//! as inside of a transaction for good, and the next transaction on it would be a savepoint of one that is never committed: its
//! rows are visible until the process ends, and then gone. Two rules keep that out:
//!
//! - A connection returns to the pool only when sqlx and the engine agree that no transaction is open, and when the last call
//!   on it did not fail for want of disk or memory.
//! - [`commit`] is an SQL `COMMIT`, which ends all that is open or fails; `RELEASE` of a savepoint would succeed.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, Executor};
use std::time::Duration;

/// Bytes that the write-ahead log keeps on disk after a checkpoint; what it took more in a burst is given back.
const LOG_KEPT_BYTES: &str = "67108864";

pub(super) fn options(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
        .pragma("journal_size_limit", LOG_KEPT_BYTES)
        // Sorting for a read needs no room on disk.
        .pragma("temp_store", "memory")
}

/// Whether a connection that is given back may be used again.
pub(super) async fn is_clean(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // Waits for a rollback that is still on its way.
    let last = connection.lock_handle().await?.last_error();
    let code = last.and_then(|error| {
        sqlx::error::DatabaseError::code(&error)
            .as_deref()
            .and_then(super::sqlite_code)
    });
    if code.is_some_and(is_fault) || connection.is_in_transaction() {
        tracing::warn!(code, "a connection to the database is closed after a fault");
        return Ok(false);
    }
    // The engine refuses a BEGIN inside of a transaction. A deferred one takes no lock.
    Ok(connection.execute("BEGIN; ROLLBACK").await.is_ok())
}

/// `SQLITE_NOMEM`, `SQLITE_IOERR`, `SQLITE_CORRUPT`, `SQLITE_FULL`, `SQLITE_CANTOPEN`, `SQLITE_NOTADB`.
fn is_fault(code: u32) -> bool {
    matches!(code, 7 | 10 | 11 | 13 | 14 | 26)
}

/// Commits, and returns when the engine says so: the second statement succeeds only where no transaction is open, and is the one
/// that sqlx then ends.
pub(super) async fn commit(transaction: DatabaseTransaction) -> Result<(), DbErr> {
    transaction.execute_unprepared("COMMIT; BEGIN").await?;
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use super::is_fault;

    #[test]
    fn faults_of_disk_memory_and_file_are_told_from_errors_of_a_statement() {
        // <https://www.sqlite.org/rescode.html>; extended codes are cut to their last byte before.
        for (code, name) in [
            (7, "NOMEM"),
            (10, "IOERR"),
            (11, "CORRUPT"),
            (13, "FULL"),
            (14, "CANTOPEN"),
            (26, "NOTADB"),
        ] {
            assert!(is_fault(code), "SQLITE_{name}");
        }
        for (code, name) in [
            (1, "ERROR"),
            (5, "BUSY"),
            (6, "LOCKED"),
            (17, "SCHEMA"),
            (19, "CONSTRAINT"),
        ] {
            assert!(!is_fault(code), "SQLITE_{name}");
        }
    }
}
