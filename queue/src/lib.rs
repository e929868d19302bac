//! The doorbell that wakes workers. The database row is the truth: a ring may be lost or doubled.
//! The only crate that names apalis and redis.

mod answering;
mod crew;
mod doorbell;
mod memory;
mod shared;
mod shared_worker;

pub use doorbell::{Doorbell, WAITING_MAX};

use domain::TaskId;
use serde::{Deserialize, Serialize};

/// One ring of the doorbell: the task that may be due, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Job {
    /// The task to look at.
    pub task: TaskId,
}
