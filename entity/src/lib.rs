//! One file per table: the row, its tenant-scoped finders, then its verbs. Every query of the product is in here and
//! works the same on Postgres and SQLite. Nobody outside of `task.rs` writes a status.
//!
//! # Locks
//!
//! Requests of one account race with each other and with the workers. On Postgres, row locks decide these races, and every
//! transaction takes them in one order, so that none can deadlock and no row disappears between a check and the write that
//! relies on it:
//!
//! 1. the account ([`user::lock`], [`user::write`]);
//! 2. one task, or those that a sweep takes back;
//! 3. the rows of that task: outputs, trace, events, image uses;
//! 4. its source, an image, a preset;
//! 5. trash, idempotency key, costs.
//!
//! A transaction that makes rows which refer to other rows of the account, or that removes rows to which others refer,
//! begins with the account. A transaction about one task alone begins with the task; its first statement is the update that
//! checks status and attempt. What was read before the first lock is only a hint: it is read again behind the lock. Single
//! statements of one row (a claim, a beat, a probe, the turn of an account) hold no second lock and need no order.
//!
//! On SQLite a transaction that writes begins `IMMEDIATE`, and there is one at a time.

pub mod backup;
mod connection;
pub mod cost;
pub mod event;
pub mod idempotency;
pub mod image;
pub mod image_use;
pub mod output;
pub mod preset;
mod raw_json;
pub mod source;
pub mod task;
pub mod trace;
pub mod trash;
pub mod user;

pub use connection::{close, connect, in_time, is_duplicate, is_exhausted, is_full, is_unavailable, ready, write};
pub use raw_json::RawJson;
pub use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, JsonValue as Json};

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ConnectionTrait, DbBackend, ExprTrait, sea_query::Expr, sea_query::SimpleExpr};

/// Now, in whole microseconds: what both databases keep.
fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// The database's own clock in milliseconds since 1970, as an expression: leases are compared on one clock only.
fn now_ms(db: &impl ConnectionTrait) -> SimpleExpr {
    Expr::cust(now_ms_sql(db.get_database_backend()))
}

/// The same as text.
const fn now_ms_sql(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Sqlite => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
        _ => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
    }
}

/// A moment `ms` milliseconds from now on the database's clock.
fn in_ms(db: &impl ConnectionTrait, ms: i64) -> SimpleExpr {
    now_ms(db).add(ms)
}

/// Milliseconds of a duration, as the databases count them.
fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
