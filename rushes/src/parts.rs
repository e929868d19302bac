//! The parts of a process, made from its settings.

use crate::memory;
use crate::settings::{Role, Settings};
use anyhow::Context;
use entity::DatabaseConnection;
use queue::Queue;
use std::time::Duration;
use storage::Storage;
use worker::child::ChildSettings;
use worker::{Env, Scratch};

/// Connections to the database that one process holds at most, on machines of six cores and more.
const CONNECTIONS_MAX: u32 = 16;

/// Most memory of one child: a 4K encode with look-ahead on two threads needs less than 1 GiB, on sixteen about 3 GiB.
const CHILD_MEMORY_BYTES: u64 = 4 << 30;

/// Least memory of one child, on machines of any size. The kernel counts what threads and codecs reserve and never touch: within
/// 512 MiB no Full HD encode begins, although it touches less.
const CHILD_MEMORY_MIN_BYTES: u64 = 2 << 30;

/// How long tasks may go on after a shutdown began; compose and Kubernetes kill after 30 s or more.
const GRACE: Duration = Duration::from_secs(20);

pub(crate) async fn database(settings: &Settings) -> anyhow::Result<DatabaseConnection> {
    entity::connect(&settings.database_url, connections())
        .await
        .context("failed to connect to DATABASE_URL")
}

/// More queries at a time than cores answer them only get in each other's way; a few wait for the disk meanwhile.
pub(crate) fn connections() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(4 + 2 * cores).map_or(CONNECTIONS_MAX, |fit| fit.min(CONNECTIONS_MAX))
}

pub(crate) async fn storage(settings: &Settings) -> anyhow::Result<Storage> {
    Storage::open(&settings.storage_url, settings.s3.clone())
        .await
        .context("failed to open STORAGE_URL")
}

pub(crate) async fn queue(settings: &Settings) -> anyhow::Result<Queue> {
    match &settings.redis_url {
        Some(url) => Queue::redis(url).context("failed to use REDIS_URL"),
        None => Ok(Queue::in_memory()),
    }
}

/// Everything a worker works with.
pub(crate) fn worker(settings: &Settings, db: DatabaseConnection, files: Storage, bell: Queue) -> anyhow::Result<Env> {
    let scratch = Scratch::open(&settings.data_dir.join("scratch")).context("failed to open the scratch directory")?;
    let threads = crate::settings::threads(settings.workers);
    let settings = worker::Settings {
        tasks: settings.workers,
        threads,
        limits: settings.limits,
        sandbox: settings.sandbox,
        depth: settings.depth,
        child_memory_bytes: child_memory(memory::available(), settings.workers),
        child: ChildSettings::new(std::env::current_exe().context("failed to find the own program")?),
        grace: GRACE,
    };
    Ok(Env::new(db, files, bell, scratch, settings))
}

/// The limit of memory of one of so many children at a time.
fn child_memory(available: Option<u64>, children: usize) -> u64 {
    let share = available.map(|bytes| bytes / u64::try_from(children).unwrap_or(u64::MAX).max(1));
    let bytes = share.map_or(CHILD_MEMORY_BYTES, |share| {
        share.clamp(CHILD_MEMORY_MIN_BYTES, CHILD_MEMORY_BYTES)
    });
    tracing::info!(mib = bytes >> 20, "most memory of one media child");
    bytes
}

/// Pairs of settings that work but surprise.
pub(crate) fn warn_of_risks(settings: &Settings, role: Role) {
    let split = matches!(role, Role::Backend | Role::Worker);
    if split && settings.redis_url.is_none() {
        tracing::warn!("no REDIS_URL: workers find tasks by asking the database once a second");
    }
    if split && settings.storage_url.starts_with("file:") {
        tracing::warn!("STORAGE_URL is a directory: backend and workers must see the same one");
    }
    if split && settings.is_embedded_database() {
        tracing::warn!("DATABASE_URL is a SQLite file: backend and workers must run on one machine");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_share_what_the_machine_has_within_bounds() {
        const GIB: u64 = 1 << 30;
        for (available, children, each) in [
            (Some(64 * GIB), 4, 4 * GIB),
            (Some(6 * GIB), 2, 3 * GIB),
            (Some(GIB), 1, 2 * GIB),
            (Some(8 * GIB), 64, 2 * GIB),
            (None, 2, 4 * GIB),
        ] {
            assert_eq!(child_memory(available, children), each);
        }
    }
}
