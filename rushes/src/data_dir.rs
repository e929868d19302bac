//! The data directory: one service in it at a time, which ends when its files are taken away.
//!
//! `rushes up` is a whole service and holds the file `lock` alone. `rushes backend` shares it with other backends, for those on
//! one machine may use one SQLite file. Workers and migrations take no lock: any number of them belongs to a backend. The
//! system releases the lock when the process ends, however it does.

use crate::settings::{Role, Settings};
use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;
use storage::{Pinned, Storage};
use tokio_util::sync::CancellationToken;

const LOCK: &str = "lock";

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long requests are refused before the process ends.
const REFUSE_FOR: Duration = Duration::from_secs(1);

/// Takes the data directory for this process until the value is dropped; `None` for roles that take none, and on file systems
/// without locks.
///
/// # Errors
/// When another service has it.
pub(crate) fn lock(settings: &Settings, role: Role) -> anyhow::Result<Option<Flock<File>>> {
    let how = match role {
        Role::Up => FlockArg::LockExclusiveNonblock,
        Role::Backend => FlockArg::LockSharedNonblock,
        Role::Worker | Role::Migrate | Role::Backup => return Ok(None),
    };
    let directory = settings.data_dir.display();
    let file = File::options()
        .create(true)
        .append(true)
        .open(settings.data_dir.join(LOCK));
    let file = file.with_context(|| format!("failed to write to RUSHES_DATA_DIR {directory}"))?;
    match Flock::lock(file, how) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => bail!(
            "another rushes runs on RUSHES_DATA_DIR {directory}: stop it first, or give this one a directory of its own. `rushes up` is \
             a whole service; several backends and workers may share a directory"
        ),
        Err((_, error)) => {
            tracing::warn!(%directory, %error, "this directory cannot be locked: see to it that one service runs on it");
            Ok(None)
        }
    }
}

/// Remembers the data directory, its lock, a SQLite file with its log, and a storage directory as they are now.
pub(crate) fn pin(settings: &Settings, files: &Storage) -> anyhow::Result<Pinned> {
    let database = settings.database_file().map(ToOwned::to_owned);
    let objects = files.local_root().map(ToOwned::to_owned);
    let lock = Some(settings.data_dir.join(LOCK)).filter(|lock| lock.exists());
    let beside = |ending: &str| {
        database
            .as_ref()
            .map(|file| PathBuf::from(format!("{}{ending}", file.display())))
    };
    let used = ["-wal", "-shm"].into_iter().filter_map(beside).collect();
    let paths = [Some(settings.data_dir.clone()), lock, database.clone(), objects];
    Pinned::new(paths.into_iter().flatten(), used).context("failed to look at the data directory")
}

/// Runs until the shutdown begins.
///
/// # Errors
/// When one of the files is gone, after a moment in which requests are refused.
pub(crate) async fn watch(pinned: Pinned, shutdown: CancellationToken) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        if let Err(moved) = pinned.look().await {
            tracing::error!(path = %moved.path.display(), "removed or replaced while the service runs: it ends");
            tokio::time::sleep(REFUSE_FOR).await;
            return Err(moved.into());
        }
    }
}
