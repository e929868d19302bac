//! Opening a database, and the one way to write several rows at once.

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbErr, RuntimeErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use std::time::Duration;

/// Connects to `sqlite://path` or `postgres://…`. A SQLite file is made when absent, and is safe against a loss of
/// power: write-ahead log, `synchronous=FULL`, foreign keys on.
///
/// # Errors
/// When the database cannot be reached within 5 s or the URL is of neither kind.
pub async fn connect(url: &str, max_connections: u32) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(3))
        .connect_timeout(Duration::from_secs(5))
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(Duration::from_secs(10))
        });
    Database::connect(options).await
}

/// Runs `work` in a transaction that may write: all of it happens, or none.
///
/// SQLite begins it `IMMEDIATE`: a transaction that reads first and writes later cannot be refused half-way.
///
/// # Errors
/// Those of `work`, and of the database.
pub async fn write<T, E: From<DbErr>>(
    db: &DatabaseConnection,
    work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T, E>,
) -> Result<T, E> {
    let immediate = Some(SqliteTransactionMode::Immediate);
    let options = TransactionOptions {
        sqlite_transaction_mode: immediate,
        ..TransactionOptions::default()
    };
    let transaction = db.begin_with_options(options).await?;
    let value = work(&transaction).await?;
    transaction.commit().await?;
    Ok(value)
}

/// Whether the database answers.
///
/// # Errors
/// When it does not.
pub async fn ready(db: &DatabaseConnection) -> Result<(), DbErr> {
    db.execute_unprepared("SELECT 1").await.map(|_| ())
}

/// Whether an error means that the database is away, rather than that a statement was wrong.
#[must_use]
pub fn is_unavailable(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            matches!(&**error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_))
                // Postgres: class 08 (connection), 57P01..57P03 (shutting down, starting up), 53300 (too many clients).
                || matches!(&**error, sqlx::Error::Database(inner)
                    if inner.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P0") || code == "53300"))
        }
        _ => false,
    }
}
