//! Connections to the database, transactions, timeouts, and the classification of errors.
//!
//! A statement with `RETURNING` must run inside a transaction; functions that use one take a [`DatabaseTransaction`].
//! Drivers stop reading the reply after the returned row. Outside of a transaction, the unread part says if the
//! statement was committed, so an error such as a full disk would be lost.

mod sqlite;

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, RuntimeErr,
    SqlErr, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use std::time::Duration;

/// Idle time after which a connection is tested with a ping before it is used. A ping before each query would double
/// the cost of short queries.
const PING_IF_IDLE_FOR: Duration = Duration::from_secs(1);

/// Time without a reply after which a connection is considered broken and is closed.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to `sqlite://path` or `postgres://…`. A SQLite file is created if it does not exist. Its options
/// (write-ahead log, `synchronous=FULL`) keep committed transactions after a power failure.
///
/// # Errors
/// The database cannot be reached within 5 s, or the URL has another scheme.
pub async fn connect(url: &str, max_connections: u32) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(3))
        .connect_timeout(Duration::from_secs(5))
        .test_before_acquire_if_idle_for(PING_IF_IDLE_FOR)
        .sqlx_logging(false)
        .map_sqlx_postgres_pool_opts(|pool| {
            pool.after_connect(|connection, _| Box::pin(set_transaction_timeout(connection)))
                .after_release(|connection, _| Box::pin(is_responsive(connection)))
        })
        .map_sqlx_sqlite_opts(sqlite::options)
        .map_sqlx_sqlite_pool_opts(|pool| pool.after_release(|connection, _| Box::pin(sqlite::is_clean(connection))));
    match Database::connect(options).await {
        Err(error) if url.starts_with("postgres") && is_unavailable(&error) => {
            Err(connect_error(url).await.unwrap_or(error))
        }
        connected => connected,
    }
}

/// The error that Postgres itself gives, from a single attempt outside of the pool. The pool retries while the server
/// is starting or has no free connection, and then reports only a timeout.
async fn connect_error(url: &str) -> Option<DbErr> {
    let attempt = <sqlx::PgConnection as sqlx::Connection>::connect(url);
    let error = tokio::time::timeout(REPLY_TIMEOUT, attempt).await.ok()?.err()?;
    Some(DbErr::Conn(RuntimeErr::SqlxError(error.into())))
}

/// Lets Postgres end a transaction that receives no statement for 30 s. If a machine dies inside a transaction, its row
/// locks would otherwise last until TCP keepalive closes the connection, two hours later, and block the sweeper.
async fn set_transaction_timeout(connection: &mut sqlx::PgConnection) -> Result<(), sqlx::Error> {
    let limit = "SET idle_in_transaction_session_timeout = '30s'";
    sqlx::Executor::execute(connection, limit).await.map(|_| ())
}

/// Pings a connection that is returned to the pool. A connection that a firewall has dropped without notice would
/// otherwise stay in the pool until TCP gives up its retransmissions, about 15 minutes later.
async fn is_responsive(connection: &mut sqlx::PgConnection) -> Result<bool, sqlx::Error> {
    let ping = tokio::time::timeout(REPLY_TIMEOUT, sqlx::Connection::ping(connection));
    ping.await.map_err(|_| sqlx::Error::PoolTimedOut)?.map(|()| true)
}

/// Runs a query with a time limit. After a timeout, its connection is closed as well.
///
/// # Errors
/// The errors of the query; after a timeout, an error that satisfies [`is_unavailable`].
pub async fn with_timeout<T, E: From<DbErr>>(
    limit: Duration,
    query: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let late = |_| DbErr::Conn(RuntimeErr::Internal(format!("no answer within {} s", limit.as_secs())));
    tokio::time::timeout(limit, query).await.map_err(late)?
}

/// Runs `work` in a transaction that may write. It is committed if `work` succeeds and rolled back otherwise.
///
/// On SQLite it begins with `BEGIN IMMEDIATE`: a deferred transaction that reads first may be refused when it begins to
/// write. The connection of a failed transaction is closed (`sqlite::retire`).
///
/// # Errors
/// The errors of `work`, and any database error.
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
    let is_sqlite = db.get_database_backend() == DbBackend::Sqlite;
    match work(&transaction).await {
        Ok(value) if is_sqlite => sqlite::commit(transaction).await.map(|()| value).map_err(E::from),
        Ok(value) => transaction.commit().await.map(|()| value).map_err(E::from),
        Err(error) => {
            if is_sqlite {
                sqlite::retire(transaction).await;
            } else if let Err(failed) = transaction.rollback().await {
                // Awaited, so that no lock is held when the caller goes on. Without the connection, there is none.
                tracing::debug!(%failed, "failed to roll back; the connection is lost");
            }
            Err(error)
        }
    }
}

/// Runs an empty query.
///
/// # Errors
/// The database does not reply.
pub async fn ready(db: &DatabaseConnection) -> Result<(), DbErr> {
    db.execute_unprepared("SELECT 1").await.map(|_| ())
}

/// Closes all connections. On SQLite a checkpoint first writes the write-ahead log back into the database file and
/// empties it, even if another process has the database open.
///
/// # Errors
/// The checkpoint failed. No data is lost: the log is replayed at the next start.
pub async fn close(db: DatabaseConnection) -> Result<(), DbErr> {
    let written_back = match db.get_database_backend() {
        DbBackend::Sqlite => {
            let checkpoint = db.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)");
            with_timeout(REPLY_TIMEOUT, checkpoint).await.map(|_| ())
        }
        _ => Ok(()),
    };
    with_timeout(REPLY_TIMEOUT, db.close()).await.and(written_back)
}

/// Returns `true` if the database is unreachable or too busy: the same statement may succeed later.
#[must_use]
pub fn is_unavailable(error: &DbErr) -> bool {
    if matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_)) {
        return true;
    }
    match driver_error(error) {
        Some(sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) => true,
        Some(sqlx::Error::Database(inner)) => inner.code().is_some_and(|code| match sqlite::primary_code(&code) {
            // SQLITE_BUSY, SQLITE_LOCKED, SQLITE_IOERR, SQLITE_CANTOPEN.
            Some(code) => matches!(code, 5 | 6 | 10 | 14),
            // Class 08 (connection), 57P01..57P03 (shutting down, starting up), 53300 too_many_connections, 25P03
            // idle_in_transaction_session_timeout, 40P01 deadlock_detected, 55P03 lock_not_available.
            None => {
                let busy = ["53300", "25P03", "40P01", "55P03"];
                code.starts_with("08") || code.starts_with("57P0") || busy.contains(&&*code)
            }
        }),
        _ => false,
    }
}

/// Returns `true` if this process or the database has no file descriptors, connections or memory left.
#[must_use]
pub fn is_exhausted(error: &DbErr) -> bool {
    match driver_error(error) {
        Some(sqlx::Error::Io(error)) => domain::is_exhaustion(error),
        Some(sqlx::Error::Database(inner)) => inner.code().is_some_and(|code| match sqlite::primary_code(&code) {
            // SQLITE_NOMEM; SQLITE_CANTOPEN, which also follows from a lack of file descriptors.
            Some(code) => matches!(code, 7 | 14),
            // Class 53 (insufficient resources) without 53100 disk_full.
            None => code.starts_with("53") && code != "53100",
        }),
        _ => false,
    }
}

/// Returns `true` if the disk of the database is full.
#[must_use]
pub fn is_full(error: &DbErr) -> bool {
    let Some(sqlx::Error::Database(inner)) = driver_error(error) else {
        return false;
    };
    // SQLITE_FULL, disk_full.
    inner
        .code()
        .is_some_and(|code| sqlite::primary_code(&code).map_or(code == "53100", |code| code == 13))
}

/// Returns `true` for a violation of a unique constraint.
#[must_use]
pub fn is_duplicate(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

/// The error of the database driver inside an error of sea-orm.
fn driver_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error))
        | DbErr::Conn(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}
