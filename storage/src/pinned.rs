//! Files and directories that have to stay where they are while a process runs.
//!
//! A removed database file or storage directory goes on to work for the process that has it open, until that process ends and
//! all that was written since is gone. [`Pinned`] remembers device and inode of each path and tells when a path no longer
//! names the same file. A log that a database makes and removes by itself counts as gone only while a descriptor of this
//! process is still open on the file that the path named before.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// SQLite removes its shared memory a moment before it closes it.
const CLOSES_WITHIN: Duration = Duration::from_millis(50);

/// Paths, each with the file that it named at first. Cheap to clone; the default watches nothing.
#[derive(Clone, Debug, Default)]
pub struct Pinned(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    files: Vec<(PathBuf, Identity)>,
    used: Vec<Used>,
    moved: AtomicBool,
}

/// A file that may come and go, but not while it is open here.
#[derive(Debug)]
struct Used {
    path: PathBuf,
    last: Mutex<Option<Identity>>,
}

/// Device and inode.
type Identity = (u64, u64);

/// A path that no longer names the same file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` was removed or replaced while the service runs; what is written now would be lost", path.display())]
pub struct Moved {
    /// The path.
    pub path: PathBuf,
}

impl Pinned {
    /// Remembers what these paths name now. Those of `used` may come and go, as long as no file is open that they named.
    ///
    /// # Errors
    /// When one of `paths` cannot be looked at.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>, used: Vec<PathBuf>) -> io::Result<Self> {
        let pin = |path: PathBuf| identity(&path).map(|identity| (path, identity));
        let used = used.into_iter().map(|path| Used {
            last: Mutex::new(identity(&path).ok()),
            path,
        });
        Ok(Self(Arc::new(Parts {
            files: paths.into_iter().map(pin).collect::<io::Result<_>>()?,
            used: used.collect(),
            moved: AtomicBool::new(false),
        })))
    }

    /// Whether [`Pinned::look`] has found one that is gone.
    #[must_use]
    pub fn is_moved(&self) -> bool {
        self.0.moved.load(Ordering::Relaxed)
    }

    /// Looks at each path; a call or two of the system for each.
    ///
    /// # Errors
    /// The first that is gone or names another file. One that cannot be looked at for another reason counts as there.
    pub async fn look(&self) -> Result<(), Moved> {
        let parts = Arc::clone(&self.0);
        let looked = tokio::task::spawn_blocking(move || parts.look()).await;
        looked.unwrap_or(Ok(()))
    }
}

impl Parts {
    fn look(&self) -> Result<(), Moved> {
        for (path, first) in &self.files {
            let is_same = match identity(path) {
                Ok(now) => now == *first,
                Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
            };
            if !is_same {
                return Err(self.moved(path));
            }
        }
        match self.used.iter().find(|used| used.is_moved()) {
            Some(used) => Err(self.moved(&used.path)),
            None => Ok(()),
        }
    }

    fn moved(&self, path: &Path) -> Moved {
        self.moved.store(true, Ordering::Relaxed);
        Moved { path: path.to_owned() }
    }
}

impl Used {
    #[allow(clippy::disallowed_methods, reason = "runs on a thread for calls that block")]
    fn is_moved(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = identity(&self.path).ok();
        if now == *last {
            return false;
        }
        let is_open = |before: Identity| {
            is_open(before) && {
                std::thread::sleep(CLOSES_WITHIN);
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

/// Returns `true` when a descriptor of this process is open on this file.
fn is_open(file: Identity) -> bool {
    let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") else {
        return false;
    };
    let mut open = descriptors.flatten().filter_map(|entry| identity(&entry.path()).ok());
    open.any(|open| open == file)
}

fn identity(path: &Path) -> io::Result<Identity> {
    let facts = std::fs::metadata(path)?;
    Ok((facts.dev(), facts.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_replaced_or_removed_is_noticed() {
        let home = tempfile::tempdir().unwrap();
        let (file, directory) = (home.path().join("a.db"), home.path().join("objects"));
        std::fs::write(&file, "x").unwrap();
        std::fs::create_dir(&directory).unwrap();
        let pinned = Pinned::new([file.clone(), directory.clone()], Vec::new()).unwrap();
        std::fs::write(&file, "longer").unwrap();
        std::fs::write(directory.join("new"), "x").unwrap();
        assert_eq!((pinned.look().await, pinned.is_moved()), (Ok(()), false));

        // The first one is kept, so that its inode is not used again.
        std::fs::rename(&directory, home.path().join("elsewhere")).unwrap();
        std::fs::create_dir(&directory).unwrap();
        assert_eq!(pinned.look().await, Err(Moved { path: directory }));
        assert!(pinned.clone().is_moved());

        let pinned = Pinned::new([file.clone()], Vec::new()).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(pinned.look().await, Err(Moved { path: file }));
    }

    #[tokio::test]
    async fn a_log_may_come_and_go_but_not_while_it_is_open() {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("a.db-wal");
        let pinned = Pinned::new([], vec![log.clone()]).unwrap();
        for _ in 0..2 {
            let open = std::fs::File::create(&log).unwrap();
            assert_eq!(pinned.look().await, Ok(()));
            drop(open);
            std::fs::remove_file(&log).unwrap();
            assert_eq!(pinned.look().await, Ok(()));
        }
        let ways: [fn(&Path) -> io::Result<()>; 2] = [
            |log| std::fs::remove_file(log),
            |log| std::fs::rename(log, log.with_extension("x")),
        ];
        for taken in ways {
            let pinned = Pinned::new([], vec![log.clone()]).unwrap();
            let _open = std::fs::File::create(&log).unwrap();
            assert_eq!(pinned.look().await, Ok(()));
            taken(&log).unwrap();
            let moved = Err(Moved { path: log.clone() });
            assert_eq!((pinned.look().await, pinned.is_moved()), (moved.clone(), true));
            // Another one in its place changes nothing.
            std::fs::write(&log, "").unwrap();
            assert_eq!(pinned.look().await, moved);
        }
    }
}
