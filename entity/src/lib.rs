//! One file per table: the row, its finders, and the functions that write it. All SQL of the product is in this crate
//! and works on Postgres and SQLite. Finders of rows that belong to an account take the account. Only [`task`] writes
//! the status of a task.
//!
//! # Lock order
//!
//! Requests of one account race with each other and with workers. On Postgres, row locks decide these races. Every
//! transaction takes its locks in the following order, so that no two of them can deadlock and no row disappears
//! between a check and the write that relies on it:
//!
//! 1. the account ([`user::lock`], [`user::write`]);
//! 2. one task, the tasks that a sweep takes back, or several in the order of ids;
//! 3. rows of that task: outputs, trace, image uses;
//! 4. its source and video, an image, a credential, a preset, webhooks in the order of ids and then their deliveries,
//!    an upload and then its guest link, a watched file;
//! 5. trash entries, idempotency key, costs;
//! 6. the locks of the logs (`log.rs`): of events, then of the library.
//!
//! A transaction begins with the lock on the account if it inserts rows that refer to other rows of the account, or if
//! it deletes rows that others refer to. A transaction about a single task begins with the task: its first statement is
//! the `UPDATE` that checks status and attempt. A row that was read before the first lock may be stale, so it is read
//! again behind the lock. Statements that touch a single row (a claim, a lease renewal, a probe, the time of an
//! account's latest claim) hold no second lock and need no order.
//!
//! SQLite has one writer at a time: a transaction that writes begins with `BEGIN IMMEDIATE`.

pub mod backup;
mod connection;
pub mod cost;
pub mod credential;
pub mod dataset;
pub mod dataset_fact;
pub mod dataset_region;
pub mod dataset_version;
pub mod delivery;
pub mod event;
pub mod fetch;
pub mod guest_link;
pub mod idempotency;
pub mod image;
pub mod image_use;
pub mod import;
pub mod import_row;
pub mod lease;
pub mod library_change;
mod log;
pub mod lookup;
pub mod output;
pub mod preset;
mod raw_json;
pub mod source;
pub mod task;
pub mod trace;
pub mod trash;
pub mod upload;
pub mod user;
pub mod video;
pub mod watched_file;
pub mod webhook;

pub use connection::{close, connect, is_duplicate, is_exhausted, is_full, is_unavailable, ready, with_timeout, write};
pub use raw_json::RawJson;
pub use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, JsonValue as Json};

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{DbBackend, ExprTrait, sea_query::Expr, sea_query::SimpleExpr};

/// The current time of this process in whole microseconds, the precision that both databases store.
fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// The current time of the database in milliseconds since 1970. Leases are set and compared on this clock only, because
/// the clocks of the machines may differ.
fn now_ms(db: &impl ConnectionTrait) -> SimpleExpr {
    Expr::cust(now_ms_sql(db.get_database_backend()))
}

/// [`now_ms`] as SQL text.
const fn now_ms_sql(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Sqlite => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
        _ => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
    }
}

/// The time `ms` milliseconds from now on the database clock.
fn in_ms(db: &impl ConnectionTrait, ms: i64) -> SimpleExpr {
    now_ms(db).add(ms)
}

/// A duration in milliseconds, as an integer column stores it.
fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
