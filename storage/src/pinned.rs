//! Detection of files and directories that are removed or replaced while the process uses them.
//!
//! *Problem.* A process that has a database file or a directory open can use it after it was unlinked. When the process
//! ends, everything that was written since is lost.
//!
//! *Mechanism.* [`PinnedPaths`] stores device and inode of each path and compares them on request. The log files of
//! SQLite may come and go: SQLite creates and removes them itself. Such a file counts as removed only if this process
//! still has a file descriptor open on the inode that the path referred to before.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Time between unlinking and closing a file: SQLite removes its shared-memory file shortly before it closes it.
const CLOSE_DELAY: Duration = Duration::from_millis(50);

/// Paths with the identity of their files. Cheap to clone. The default contains no paths.
#[derive(Clone, Debug, Default)]
pub struct PinnedPaths(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Files that must stay.
    files: Vec<(PathBuf, Identity)>,
    /// Files that may come and go unless they are open.
    transient: Vec<TransientFile>,
    moved: AtomicBool,
}

/// A file that may come and go, but not while this process has it open.
#[derive(Debug)]
struct TransientFile {
    path: PathBuf,
    /// The file at the latest check.
    last: Mutex<Option<Identity>>,
}

/// Device and inode of a file.
type Identity = (u64, u64);

/// The error for a path that no longer refers to the same file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` was removed or replaced while the service runs; what is written now would be lost", path.display())]
pub struct PathChanged {
    /// The path.
    pub path: PathBuf,
}

impl PinnedPaths {
    /// Records the current files of these paths. The files of `transient` may come and go unless this process has them
    /// open.
    ///
    /// # Errors
    /// The metadata of one of `paths` cannot be read.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>, transient: Vec<PathBuf>) -> io::Result<Self> {
        let pin = |path: PathBuf| identity(&path).map(|identity| (path, identity));
        let transient = transient.into_iter().map(|path| TransientFile {
            last: Mutex::new(identity(&path).ok()),
            path,
        });
        Ok(Self(Arc::new(State {
            files: paths.into_iter().map(pin).collect::<io::Result<_>>()?,
            transient: transient.collect(),
            moved: AtomicBool::new(false),
        })))
    }

    /// Returns `true` if an earlier [`PinnedPaths::check`] found a path that was removed or replaced.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.0.moved.load(Ordering::Relaxed)
    }

    /// Checks all paths, with one or two system calls for each.
    ///
    /// # Errors
    /// The first path that was removed or replaced. Other errors of the file system are ignored.
    pub async fn check(&self) -> Result<(), PathChanged> {
        let state = Arc::clone(&self.0);
        let checked = tokio::task::spawn_blocking(move || state.check_now()).await;
        checked.unwrap_or(Ok(()))
    }
}

impl State {
    fn check_now(&self) -> Result<(), PathChanged> {
        for (path, first) in &self.files {
            let is_same = match identity(path) {
                Ok(now) => now == *first,
                Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
            };
            if !is_same {
                return Err(self.moved(path));
            }
        }
        match self.transient.iter().find(|file| file.is_changed()) {
            Some(file) => Err(self.moved(&file.path)),
            None => Ok(()),
        }
    }

    /// Records and returns the error.
    fn moved(&self, path: &Path) -> PathChanged {
        self.moved.store(true, Ordering::Relaxed);
        PathChanged { path: path.to_owned() }
    }
}

impl TransientFile {
    #[allow(clippy::disallowed_methods, reason = "runs on a thread for blocking calls")]
    fn is_changed(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = identity(&self.path).ok();
        if now == *last {
            return false;
        }
        let is_open = |before: Identity| {
            is_open(before) && {
                std::thread::sleep(CLOSE_DELAY);
                is_open(before)
            }
        };
        if last.is_some_and(is_open) {
            return true;
        }
        *last = now;
        false
    }
}

/// Returns `true` if this process has a file descriptor open on this file.
fn is_open(file: Identity) -> bool {
    let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") else {
        return false;
    };
    let mut open = descriptors.flatten().filter_map(|entry| identity(&entry.path()).ok());
    open.any(|open| open == file)
}

fn identity(path: &Path) -> io::Result<Identity> {
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_replaced_or_removed_file_is_detected() {
        let home = tempfile::tempdir().unwrap();
        let (file, directory) = (home.path().join("a.db"), home.path().join("objects"));
        std::fs::write(&file, "x").unwrap();
        std::fs::create_dir(&directory).unwrap();
        let pinned = PinnedPaths::new([file.clone(), directory.clone()], Vec::new()).unwrap();
        std::fs::write(&file, "longer").unwrap();
        std::fs::write(directory.join("new"), "x").unwrap();
        assert_eq!((pinned.check().await, pinned.is_changed()), (Ok(()), false));

        // Moved and not removed, so that its inode number is not reused.
        std::fs::rename(&directory, home.path().join("elsewhere")).unwrap();
        std::fs::create_dir(&directory).unwrap();
        assert_eq!(pinned.check().await, Err(PathChanged { path: directory }));
        assert!(pinned.clone().is_changed());

        let pinned = PinnedPaths::new([file.clone()], Vec::new()).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(pinned.check().await, Err(PathChanged { path: file }));
    }

    #[tokio::test]
    async fn a_transient_file_may_be_removed_unless_it_is_open() {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("a.db-wal");
        let pinned = PinnedPaths::new([], vec![log.clone()]).unwrap();
        for _ in 0..2 {
            let open = std::fs::File::create(&log).unwrap();
            assert_eq!(pinned.check().await, Ok(()));
            drop(open);
            std::fs::remove_file(&log).unwrap();
            assert_eq!(pinned.check().await, Ok(()));
        }
        let removals: [fn(&Path) -> io::Result<()>; 2] = [
            |log| std::fs::remove_file(log),
            |log| std::fs::rename(log, log.with_extension("x")),
        ];
        for remove in removals {
            let pinned = PinnedPaths::new([], vec![log.clone()]).unwrap();
            let _open = std::fs::File::create(&log).unwrap();
            assert_eq!(pinned.check().await, Ok(()));
            remove(&log).unwrap();
            let moved = Err(PathChanged { path: log.clone() });
            assert_eq!((pinned.check().await, pinned.is_changed()), (moved.clone(), true));
            // A new file at the path does not change the result.
            std::fs::write(&log, "").unwrap();
            assert_eq!(pinned.check().await, moved);
        }
    }
}
