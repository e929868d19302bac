//! The number of concurrent tasks, and the threads of each.

use super::environment::{BadSetting, Environment, bad};

/// Number of tasks that a process works on at the same time: `RUSHES_WORKERS`, by default one per two cores.
pub(super) fn workers(env: &Environment<'_>) -> Result<usize, BadSetting> {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    match env.parsed::<usize>("RUSHES_WORKERS", "1 to 64")? {
        None => Ok((cores / 2).max(1)),
        Some(tasks @ 1..=64) => Ok(tasks),
        Some(other) => Err(bad("RUSHES_WORKERS", &other.to_string(), "1 to 64")),
    }
}

/// Number of threads per task, when `workers` tasks share the cores.
pub(crate) fn threads(workers: usize) -> u32 {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    u32::try_from(cores.div_ceil(workers)).unwrap_or(1)
}
