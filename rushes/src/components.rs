//! Creates the components of a process from its settings: database, storage, queue, worker.

use crate::memory;
use crate::settings::{self, Role, Settings, WatchSettings};
use anyhow::Context;
use entity::DatabaseConnection;
use queue::Queue;
use std::path::{Path, PathBuf};
use std::time::Duration;
use storage::{Folder, Storage};
use url::Url;
use worker::child::ChildSettings;
use worker::{Env, Scratch, Watch};

/// Maximum number of database connections of one process; machines with six or more cores use it.
const CONNECTIONS_MAX: u32 = 16;

/// Maximum memory limit of one child. A 4K encode with look-ahead uses less than 1 GiB on two threads, and about 3
/// GiB on sixteen.
const CHILD_MEMORY_BYTES: u64 = 4 << 30;

/// Minimum memory limit of one child. The kernel counts memory that threads and codecs reserve and never touch: with a
/// limit of 512 MiB a Full HD encode fails to start, although it touches less.
const CHILD_MEMORY_MIN_BYTES: u64 = 2 << 30;

/// Time for tasks in progress after a shutdown began. Compose and Kubernetes kill a process after 30 s or more.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);

pub(crate) async fn database(settings: &Settings) -> anyhow::Result<DatabaseConnection> {
    entity::connect(&settings.database_url, connections())
        .await
        .context("failed to connect to DATABASE_URL")
}

/// The connection with which the catalog of the library follows the database.
pub(crate) async fn library_database(settings: &Settings) -> anyhow::Result<DatabaseConnection> {
    entity::connect(&settings.database_url, 1)
        .await
        .context("failed to connect to DATABASE_URL")
}

/// Number of database connections: enough to keep all cores busy while some queries wait for the disk. More would only
/// compete for the cores.
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

/// The environment of a worker.
pub(crate) fn worker(
    settings: &Settings,
    db: DatabaseConnection,
    storage: Storage,
    queue: Queue,
) -> anyhow::Result<Env> {
    let executable = media_executable(settings)?;
    let scratch = Scratch::open(&settings.data_dir.join("scratch")).context("failed to open the scratch directory")?;
    let threads = settings::threads(settings.workers);
    let watch = settings.watch.as_ref().map(|watched| watch(settings, watched));
    let watch = watch.transpose()?;
    let settings = worker::Settings {
        max_tasks: settings.workers,
        threads,
        limits: settings.limits,
        upload_ttl: settings.upload_ttl,
        outbound: settings.outbound.clone(),
        lookups: settings.lookups.clone(),
        watch,
        sealer: settings.sealer.clone(),
        sandbox: settings.sandbox,
        verify_depth: settings.verify_depth,
        child_memory_bytes: child_memory(memory::available(), settings.workers),
        child: ChildSettings::new(executable),
        shutdown_grace: SHUTDOWN_GRACE,
    };
    Env::new(db, storage, queue, scratch, settings).context("failed to start a thread")
}

/// The folder to watch, opened.
pub(crate) fn watch(settings: &Settings, watched: &WatchSettings) -> anyhow::Result<Watch> {
    let folder = Folder::open(&watched.place, watched.s3.clone());
    let folder = folder.context("failed to open the folder to watch (RUSHES_WATCH)")?;
    anyhow::ensure!(
        !has_own_files(settings, watched, &folder),
        "{}: the folder to watch has files of Rushes itself; accepted: another directory or bucket",
        folder.source()
    );
    let recipe = watched.recipe.as_ref().map(|path| {
        std::fs::read_to_string(path).with_context(|| format!("failed to read the recipe {}", path.display()))
    });
    Ok(Watch {
        folder,
        user: watched.user.clone(),
        preset: watched.preset.clone(),
        recipe: recipe.transpose()?,
        settle: watched.settle,
    })
}

/// Returns `true` if a watcher of the folder would take the database, a secret or stored files away.
fn has_own_files(settings: &Settings, watched: &WatchSettings, folder: &Folder) -> bool {
    let storage_url = Url::parse(&settings.storage_url).ok();
    let Some(directory) = folder.directory() else {
        let address = |url: &Url| {
            let endpoint = url.query_pairs().find(|(name, _)| name == "endpoint");
            (
                url.host_str().map(str::to_owned),
                endpoint.map(|(_, value)| value.into_owned()),
            )
        };
        let bucket = Url::parse(&watched.place).ok();
        return storage_url
            .is_some_and(|url| url.scheme() == "s3" && Some(address(&url)) == bucket.as_ref().map(address));
    };
    let is = |own: &Path| own.canonicalize().is_ok_and(|own| own == directory);
    let is_in = |own: &Path| own.canonicalize().is_ok_and(|own| directory.starts_with(own));
    let storage = storage_url.and_then(|url| url.to_file_path().ok());
    let in_data_dir = ["objects", "scratch", "catalog"].map(|name| settings.data_dir.join(name));
    is(&settings.data_dir)
        || settings.database_file().and_then(Path::parent).is_some_and(is)
        || storage.iter().chain(&in_data_dir).any(|own| is_in(own))
}

/// The path of `rushes-media`.
fn media_executable(settings: &Settings) -> anyhow::Result<PathBuf> {
    let path = match &settings.media_bin {
        // Without a slash, the name would be searched in PATH.
        Some(path) => std::path::absolute(path).context("failed to read RUSHES_MEDIA_BIN")?,
        None => std::env::current_exe()
            .context("failed to find the executable of this process")?
            .with_file_name("rushes-media"),
    };
    anyhow::ensure!(
        path.is_file(),
        "there is no {}: the executable rushes-media belongs beside rushes, or RUSHES_MEDIA_BIN names it",
        path.display()
    );
    Ok(path)
}

/// Memory limit in bytes of one child, when `children` run at the same time.
fn child_memory(available: Option<u64>, children: usize) -> u64 {
    let share = available.map(|bytes| bytes / u64::try_from(children).unwrap_or(u64::MAX).max(1));
    let bytes = share.map_or(CHILD_MEMORY_BYTES, |share| {
        share.clamp(CHILD_MEMORY_MIN_BYTES, CHILD_MEMORY_BYTES)
    });
    tracing::info!(mib = bytes >> 20, "memory limit of one media child");
    bytes
}

/// Warns of combinations of settings that work only under conditions.
pub(crate) fn warn_of_risks(settings: &Settings, role: Role) {
    let split = matches!(role, Role::Backend | Role::Worker);
    if split && settings.redis_url.is_none() {
        tracing::warn!("no REDIS_URL: workers find tasks by polling the database once a second");
    }
    if split && settings.storage_url.starts_with("file:") {
        tracing::warn!("STORAGE_URL is a directory: backend and workers must share it");
    }
    if split && settings.is_embedded_database() {
        tracing::warn!("DATABASE_URL is a SQLite file: backend and workers must run on one machine");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_share_the_available_memory_within_bounds() {
        const GIB: u64 = 1 << 30;
        for (available, children, each) in [
            (Some(64 * GIB), 4, 4 * GIB),
            (Some(6 * GIB), 2, 3 * GIB),
            (Some(GIB), 1, 2 * GIB),
            (Some(0), 1, 2 * GIB),
            (Some(512 << 20), 4, 2 * GIB),
            (Some(8 * GIB), 0, 4 * GIB),
            (Some(8 * GIB), 64, 2 * GIB),
            (None, 2, 4 * GIB),
        ] {
            assert_eq!(child_memory(available, children), each);
        }
    }
}
