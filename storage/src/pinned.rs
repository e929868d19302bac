//! Files and directories that have to stay where they are while a process runs.
//!
//! A removed database file or storage directory goes on to work for the process that has it open, until that process ends and
//! all that was written since is gone. [`Pinned`] remembers device and inode of each path and tells when a path no longer
//! names the same file.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Paths, each with the file that it named at first. Cheap to clone; the default watches nothing.
#[derive(Clone, Debug, Default)]
pub struct Pinned(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    files: Vec<(PathBuf, Identity)>,
    moved: AtomicBool,
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
    /// Remembers what these paths name now.
    ///
    /// # Errors
    /// When one of them cannot be looked at.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> io::Result<Self> {
        let pin = |path: PathBuf| identity(&path).map(|identity| (path, identity));
        let files = paths.into_iter().map(pin).collect::<io::Result<_>>()?;
        let moved = AtomicBool::new(false);
        Ok(Self(Arc::new(Parts { files, moved })))
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
                self.moved.store(true, Ordering::Relaxed);
                return Err(Moved { path: path.clone() });
            }
        }
        Ok(())
    }
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
        let pinned = Pinned::new([file.clone(), directory.clone()]).unwrap();
        std::fs::write(&file, "longer").unwrap();
        std::fs::write(directory.join("new"), "x").unwrap();
        assert_eq!((pinned.look().await, pinned.is_moved()), (Ok(()), false));

        // The first one is kept, so that its inode is not used again.
        std::fs::rename(&directory, home.path().join("elsewhere")).unwrap();
        std::fs::create_dir(&directory).unwrap();
        assert_eq!(pinned.look().await, Err(Moved { path: directory }));
        assert!(pinned.clone().is_moved());

        let pinned = Pinned::new([file.clone()]).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(pinned.look().await, Err(Moved { path: file }));
    }
}
