//! The lock of the data directory, and the check that its files stay in place.
//!
//! *Lock.* Two services must not share a data directory. `rushes up` is a whole service and holds an exclusive
//! flock(2) lock on the file `lock`. `rushes backend` holds a shared lock, because several backends on one machine
//! may use one SQLite file. Workers, watchers and migrations take no lock; they belong to a backend. The kernel
//! releases the lock when the process ends, for any reason.
//!
//! *Moved files.* A process that has a removed database open can still write to it, and all of that is lost when the
//! process ends. So device and inode of the files are compared every second. When one was removed or replaced, requests
//! are refused and the process ends.

use crate::settings::{Role, Settings};
use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;
use storage::{PinnedPaths, Storage};
use tokio_util::sync::CancellationToken;

const LOCK: &str = "lock";

/// Interval between two checks of the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Time in which requests are refused before the process ends, so that clients get a reply.
const REFUSE_DURATION: Duration = Duration::from_secs(1);

/// Locks the data directory until the value is dropped. `None` for roles that need no lock, and on file systems without
/// locks.
///
/// # Errors
/// When another service holds the lock.
pub(crate) fn lock(settings: &Settings, role: Role) -> anyhow::Result<Option<Flock<File>>> {
    let kind = match role {
        Role::Up => FlockArg::LockExclusiveNonblock,
        Role::Backend => FlockArg::LockSharedNonblock,
        Role::Worker | Role::Watch | Role::Migrate | Role::Backup => return Ok(None),
    };
    let directory = settings.data_dir.display();
    let file = File::options()
        .create(true)
        .append(true)
        .open(settings.data_dir.join(LOCK));
    let file = file.with_context(|| format!("failed to write to RUSHES_DATA_DIR {directory}"))?;
    match Flock::lock(file, kind) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => bail!(
            "another rushes runs on RUSHES_DATA_DIR {directory}: stop it first, or give this one a directory of its own. \
             `rushes up` is a whole service; several backends and workers may share a directory"
        ),
        Err((_, error)) => {
            tracing::warn!(
                %directory,
                %error,
                "failed to lock the data directory; make sure that only one service uses it"
            );
            Ok(None)
        }
    }
}

/// Records device and inode of the data directory, its lock, a SQLite file with its log, and a storage directory.
pub(crate) fn pin(settings: &Settings, storage: &Storage) -> anyhow::Result<PinnedPaths> {
    let database = settings.database_file().map(ToOwned::to_owned);
    let objects = storage.local_root().map(ToOwned::to_owned);
    let lock = Some(settings.data_dir.join(LOCK)).filter(|lock| lock.exists());
    let with_suffix = |suffix: &str| {
        database
            .as_ref()
            .map(|file| PathBuf::from(format!("{}{suffix}", file.display())))
    };
    let optional = ["-wal", "-shm"].into_iter().filter_map(with_suffix).collect();
    let paths = [Some(settings.data_dir.clone()), lock, database.clone(), objects];
    PinnedPaths::new(paths.into_iter().flatten(), optional).context("failed to read the data directory")
}

/// Checks the pinned files until the shutdown begins.
///
/// # Errors
/// When a file was removed or replaced, after [`REFUSE_DURATION`].
pub(crate) async fn watch(pinned: PinnedPaths, shutdown: CancellationToken) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(CHECK_INTERVAL) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        if let Err(moved) = pinned.check().await {
            tracing::error!(path = %moved.path.display(), "a data file was removed or replaced; shutting down");
            tokio::time::sleep(REFUSE_DURATION).await;
            return Err(moved.into());
        }
    }
}
