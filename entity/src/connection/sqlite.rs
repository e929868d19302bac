//! SQLite: options of a connection, the check before a connection is reused, and commits.
//!
//! *Problem.* On a full disk SQLite rolls a transaction back by itself, and the `ROLLBACK` of sqlx then fails. From
//! then on sqlx assumes that a transaction is open on this connection. It turns the next transaction into a savepoint
//! inside a transaction that is never committed: its rows are visible until the process ends, and then lost.
//!
//! *Mechanism.*
//! - A connection returns to the pool only if sqlx and SQLite agree that no transaction is open, and if the last call
//!   on it did not fail for lack of disk space or memory ([`is_clean`]).
//! - After a `ROLLBACK`, SQLite does not tell any more if a statement before it failed for such a reason. So a
//!   connection whose transaction failed for any reason does not return either ([`retire`]).
//! - [`commit`] executes an SQL `COMMIT`. It ends the outermost transaction or fails, whereas `RELEASE` of a savepoint
//!   would succeed.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, Executor};
use std::time::Duration;

/// Size in bytes to which the write-ahead log is truncated after a checkpoint (`journal_size_limit`).
const WAL_LIMIT_BYTES: &str = "67108864";

/// The options of every connection.
pub(super) fn options(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
        .pragma("journal_size_limit", WAL_LIMIT_BYTES)
        // Sorting must not need disk space: reads still work when the disk is full.
        .pragma("temp_store", "memory")
}

/// Returns `true` if a connection that is returned to the pool may be used again.
pub(super) async fn is_clean(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // The lock waits for a pending rollback.
    let last = connection.lock_handle().await?.last_error();
    let code = last.and_then(|error| {
        sqlx::error::DatabaseError::code(&error)
            .as_deref()
            .and_then(primary_code)
    });
    if code.is_some_and(is_fault) {
        tracing::warn!(
            code,
            "closing a database connection after an error of disk, memory or file"
        );
        return Ok(false);
    }
    if connection.is_in_transaction() {
        tracing::debug!(code, "closing a database connection after a failed transaction");
        return Ok(false);
    }
    // SQLite refuses BEGIN inside a transaction. A deferred transaction takes no lock.
    Ok(connection.execute("BEGIN; ROLLBACK").await.is_ok())
}

/// Returns `true` for errors of disk, memory or file, after which a transaction may have been rolled back:
/// `SQLITE_NOMEM`, `SQLITE_IOERR`, `SQLITE_CORRUPT`, `SQLITE_FULL`, `SQLITE_CANTOPEN` and `SQLITE_NOTADB`.
fn is_fault(code: u32) -> bool {
    matches!(code, 7 | 10 | 11 | 13 | 14 | 26)
}

/// Commits and verifies the commit: `BEGIN` succeeds only if no transaction is open any more. sqlx then ends that new,
/// empty transaction.
pub(super) async fn commit(transaction: DatabaseTransaction) -> Result<(), DbErr> {
    if let Err(error) = transaction.execute_unprepared("COMMIT; BEGIN").await {
        retire(transaction).await;
        return Err(error);
    }
    transaction.commit().await
}

/// Rolls a failed transaction back, and prevents that its connection returns to the pool: the `ROLLBACK` of sqlx fails
/// after this one, so sqlx assumes that the transaction is still open, and [`is_clean`] closes the connection.
pub(super) async fn retire(transaction: DatabaseTransaction) {
    if let Err(error) = transaction.execute_unprepared("ROLLBACK").await {
        tracing::debug!(%error, "SQLite has rolled a transaction back");
    }
}

/// The primary result code, which is the last byte of an extended code. SQLite codes have up to four digits; `None` for
/// an SQLSTATE, which has five characters.
pub(super) fn primary_code(code: &str) -> Option<u32> {
    let code: u32 = code.parse().ok().filter(|_| code.len() < 5)?;
    Some(code & 0xFF)
}

#[cfg(test)]
mod tests {
    use super::is_fault;

    #[test]
    fn errors_of_disk_memory_and_file_are_distinguished_from_errors_of_a_statement() {
        // Primary result codes: <https://www.sqlite.org/rescode.html>.
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
