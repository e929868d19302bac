//! Opening a database, and the one way to write several rows at once.
//!
//! A statement with `RETURNING` runs in a transaction only, which the signatures of the functions that use one demand: drivers take
//! the row that they want and leave the rest of the answer unread, and outside of a transaction the rest is whether the
//! statement was committed. On a full disk it was not.

mod sqlite;

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, RuntimeErr,
    SqlErr, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use std::time::Duration;

/// A connection that was idle for longer is asked for a sign of life before it is used. To ask each time would double the
/// cost of a short query.
const PING_AFTER: Duration = Duration::from_secs(1);

/// A connection that does not answer for so long is closed.
const SILENT_AFTER: Duration = Duration::from_secs(5);

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
        .test_before_acquire_if_idle_for(PING_AFTER)
        .sqlx_logging(false)
        .map_sqlx_postgres_pool_opts(|pool| {
            pool.after_connect(|connection, _| Box::pin(limited(connection)))
                .after_release(|connection, _| Box::pin(answers(connection)))
        })
        .map_sqlx_sqlite_opts(sqlite::options)
        .map_sqlx_sqlite_pool_opts(|pool| pool.after_release(|connection, _| Box::pin(sqlite::is_clean(connection))));
    match Database::connect(options).await {
        Err(error) if url.starts_with("postgres") && is_unavailable(&error) => Err(cause(url).await.unwrap_or(error)),
        connected => connected,
    }
}

/// Connects once outside of the pool for the error of Postgres itself: the pool retries while the server starts or has no connection
/// left, and then reports only a timeout.
async fn cause(url: &str) -> Option<DbErr> {
    let once = <sqlx::PgConnection as sqlx::Connection>::connect(url);
    let refused = tokio::time::timeout(SILENT_AFTER, once).await.ok()?.err()?;
    Some(DbErr::Conn(RuntimeErr::SqlxError(refused.into())))
}

/// Has Postgres end a transaction that nothing comes to for half a minute. A machine that vanished within one would keep
/// its rows locked until the kernel gives it up, two hours later, and the sweeper waiting for them.
async fn limited(connection: &mut sqlx::PgConnection) -> Result<(), sqlx::Error> {
    let limit = "SET idle_in_transaction_session_timeout = '30s'";
    sqlx::Executor::execute(connection, limit).await.map(|_| ())
}

/// Whether a connection that is given back still answers. One that went silent, behind a firewall that forgot it, would
/// otherwise keep its place in the pool until the kernel gives it up, a quarter of an hour later.
async fn answers(connection: &mut sqlx::PgConnection) -> Result<bool, sqlx::Error> {
    let ping = tokio::time::timeout(SILENT_AFTER, sqlx::Connection::ping(connection));
    ping.await.map_err(|_| sqlx::Error::PoolTimedOut)?.map(|()| true)
}

/// A query that may take only so long. One that is given up gives its connection up, too.
///
/// # Errors
/// Those of the query; one that [`is_unavailable`] when the time is over.
pub async fn in_time<T, E: From<DbErr>>(limit: Duration, query: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let late = |_| DbErr::Conn(RuntimeErr::Internal(format!("no answer within {} s", limit.as_secs())));
    tokio::time::timeout(limit, query).await.map_err(late)?
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
    match db.get_database_backend() {
        DbBackend::Sqlite => sqlite::commit(transaction).await?,
        _ => transaction.commit().await?,
    }
    Ok(value)
}

/// Whether the database answers.
///
/// # Errors
/// When it does not.
pub async fn ready(db: &DatabaseConnection) -> Result<(), DbErr> {
    db.execute_unprepared("SELECT 1").await.map(|_| ())
}

/// Closes all connections. SQLite then has everything in the one database file: the write-ahead log is written back into
/// it and emptied, even where another process keeps the database open.
///
/// # Errors
/// When the log could not be written back. Nothing is lost then: it is replayed at the next start.
pub async fn close(db: DatabaseConnection) -> Result<(), DbErr> {
    let written_back = match db.get_database_backend() {
        DbBackend::Sqlite => {
            let checkpoint = db.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)");
            in_time(SILENT_AFTER, checkpoint).await.map(|_| ())
        }
        _ => Ok(()),
    };
    in_time(SILENT_AFTER, db.close()).await.and(written_back)
}

/// Whether an error means that the database is away or too busy, rather than that a statement was wrong.
#[must_use]
pub fn is_unavailable(error: &DbErr) -> bool {
    if matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_)) {
        return true;
    }
    match of_driver(error) {
        Some(sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) => true,
        Some(sqlx::Error::Database(inner)) => inner.code().is_some_and(|code| match sqlite_code(&code) {
            // SQLITE_BUSY, SQLITE_LOCKED, SQLITE_IOERR, SQLITE_CANTOPEN.
            Some(code) => matches!(code, 5 | 6 | 10 | 14),
            // Class 08 (connection), 57P01..57P03 (shutting down, starting up), too many clients, idle in a transaction for
            // too long, a deadlock that this one lost.
            None => {
                let busy = ["53300", "25P03", "40P01"];
                code.starts_with("08") || code.starts_with("57P0") || busy.contains(&&*code)
            }
        }),
        _ => false,
    }
}

/// Whether an error means that this process or the database has no descriptors, connections or memory left.
#[must_use]
pub fn is_exhausted(error: &DbErr) -> bool {
    match of_driver(error) {
        Some(sqlx::Error::Io(error)) => domain::is_exhaustion(error),
        Some(sqlx::Error::Database(inner)) => inner.code().is_some_and(|code| match sqlite_code(&code) {
            // SQLITE_NOMEM; SQLITE_CANTOPEN is what a file without a free descriptor ends in.
            Some(code) => matches!(code, 7 | 14),
            // out_of_memory, too_many_connections, and the class above them; a full disk has a code of its own.
            None => code.starts_with("53") && code != "53100",
        }),
        _ => false,
    }
}

/// Whether an error means that the database has no room left on its disk.
#[must_use]
pub fn is_full(error: &DbErr) -> bool {
    let Some(sqlx::Error::Database(inner)) = of_driver(error) else {
        return false;
    };
    // SQLITE_FULL, disk_full.
    inner
        .code()
        .is_some_and(|code| sqlite_code(&code).map_or(code == "53100", |code| code == 13))
}

/// Whether an error means that a row with the same unique columns is there already.
#[must_use]
pub fn is_duplicate(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

fn of_driver(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error))
        | DbErr::Conn(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

/// The primary code of SQLite, which numbers its errors in up to four digits; `None` for an SQLSTATE, which has five
/// characters.
fn sqlite_code(code: &str) -> Option<u32> {
    let code: u32 = code.parse().ok().filter(|_| code.len() < 5)?;
    Some(code & 0xFF)
}
