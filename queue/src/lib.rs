//! Wake-ups for workers and updates of tasks, in memory or through Redis. The only crate that uses apalis and redis.
//! `updates.rs` explains the updates; this page explains the wake-ups.
//!
//! *Problem.* A new task should start at once, but workers that share a database would have to poll it many times per
//! second to notice one.
//!
//! *Mechanism.* A job in the queue is a wake-up without content: it says that the database may have due tasks. A worker
//! that gets one claims the next task from the database, then wakes the next worker, because more tasks may be due.
//!
//! ```text
//!  wake() ──► at most one waiting job ──► an idle process: woken() ──► claims a task in the database
//!                     ▲                                                        │
//!                     └─────────────── wake(): more may be due ────────────────┘
//! ```
//!
//! *Invariants.* The database alone decides which tasks exist and which one is next. A lost job costs only time,
//! because workers also poll the database at least once a second; so Redis can be empty, wiped or away without losing
//! work. One waiting job stands for any number of tasks. A process takes jobs only while it waits in
//! [`Wakeups::woken`], so a busy process takes none from an idle one.
//!
//! *Rejected.* One job per task, with its ID: rows and jobs would have to be kept consistent, and the order of jobs in
//! Redis would replace the fair order of accounts.

mod idle_signal;
#[cfg(test)]
#[path = "../../tests/src/port.rs"]
mod port;
mod queue;
mod redis_queue;
mod redis_updates;
mod redis_worker;
mod restart;
#[cfg(test)]
#[path = "../../tests/src/skip.rs"]
mod skip;
mod updates;
mod wakeups;

pub use queue::Queue;
pub use updates::{Subscription, Updates};
pub use wakeups::Wakeups;

use serde::{Deserialize, Serialize};

/// One unit of the queue: a wake-up.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Job {}
