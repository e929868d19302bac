//! Wake-ups for workers, in memory or through Redis. The only crate that names apalis and redis.
//!
//! The database says which work there is and whose turn it is. A job in the queue says only that there is some: it carries
//! nothing, one waiting job stands for any number of tasks, and a lost one costs the time until workers look by
//! themselves. Wiping Redis so loses no work and stops none.
//!
//! ```text
//!  wake() ──► at most one waiting job ──► an idle process: woken() ──► it claims from the database
//!                     ▲                                                        │
//!                     └──────────────── wake(): there may be more ─────────────┘
//! ```
//!
//! A process takes jobs only while it waits in [`Wakeups::woken`], so that a busy one takes none away from an idle one.

mod gate;
mod redis_queue;
mod redis_worker;
mod wakeups;

pub use wakeups::{Queue, Wakeups};

use serde::{Deserialize, Serialize};

/// One unit of the queue: there is work in the database.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Job {}
