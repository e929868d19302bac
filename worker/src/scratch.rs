//! Scratch directories, in which children write.
//!
//! *Problem.* A process that is killed leaves files behind. The next one must remove them, but not those of a process
//! that is still running.
//!
//! *Mechanism.* Each process creates a directory of its own and holds a lock (flock(2)) on a file in it. The kernel
//! releases the lock when the process ends, for any reason. A process that starts removes the directories without a
//! lock.
//!
//! The name of the directory is the name of the worker in the database. A directory without a lock therefore also tells
//! whose tasks can be returned before their leases expire. When the directory does not outlive the process (a tmpfs, a
//! new container), those tasks wait for their leases. Workers with different scratch roots never see each other's
//! directories.

use domain::WorkerId;
use entity::task::Model;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The scratch directory of this process.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    worker: WorkerId,
    dead: Vec<WorkerId>,
    _lock: File,
}

/// Name of the locked file.
const LOCK: &str = "lock";

impl Scratch {
    /// Creates a directory below `root` and removes those of processes that have ended.
    ///
    /// # Errors
    /// When `root` cannot be written.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        // Serializes processes that start at the same time. Without it, one could remove the directory that another one
        // has created and not locked yet.
        let start_lock = File::create(root.join(LOCK))?;
        start_lock.lock()?;
        let mut dead = Vec::new();
        for entry in fs::read_dir(root)? {
            dead.extend(remove_if_dead(&entry?.path()));
        }
        let worker = WorkerId(uuid::Uuid::now_v7().to_string());
        let path = root.join(&worker.0);
        fs::create_dir(&path)?;
        let lock = lock(&path)?.ok_or_else(|| io::Error::other("a new scratch directory is locked already"))?;
        Ok(Self {
            path: path.canonicalize()?,
            worker,
            dead,
            _lock: lock,
        })
    }

    /// Name of this process in the database.
    pub(crate) const fn worker(&self) -> &WorkerId {
        &self.worker
    }

    /// Names of the processes whose directories were removed: they were killed, and their tasks can be returned at
    /// once.
    pub(crate) fn dead(&self) -> &[WorkerId] {
        &self.dead
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the directory of one attempt, which is removed when the value is dropped.
    pub(crate) fn directory(&self, task: &Model) -> io::Result<Directory> {
        let path = self.path.join(format!("{}-{}", task.id, task.attempt));
        // Creates its parents as well: a cleanup of temporary files may have removed them.
        fs::create_dir_all(&path)?;
        Ok(Directory(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// A directory that is removed on drop.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Creates a subdirectory.
    pub(crate) fn create_dir(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        fs::create_dir(&path)?;
        Ok(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Locks a scratch directory; `None` when another process holds the lock.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::create(path.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes the directory of a process that has ended; returns its name.
fn remove_if_dead(path: &Path) -> Option<WorkerId> {
    if !path.is_dir() {
        return None;
    }
    let _lock = lock(path).ok().flatten()?;
    tracing::info!(path = %path.display(), "removing the scratch directory of a worker that has ended");
    remove(path);
    let name = path.file_name()?.to_str()?;
    Some(WorkerId(name.to_owned()))
}

fn remove(path: &Path) {
    if let Err(error) = remove_tree(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "failed to remove a scratch directory");
    }
}

/// Removes a directory tree of any depth.
///
/// A child that was taken over may have nested directories so deep that recursion would use up all file descriptors or
/// the stack, and that paths would be too long. So each subdirectory is first moved to the top.
fn remove_tree(top: &Path) -> io::Result<()> {
    let (mut moved, mut pending) = (0_u64, vec![top.to_owned()]);
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                fs::remove_file(entry.path())?;
            } else if directory == top {
                pending.push(entry.path());
            } else {
                moved += 1;
                let target = top.join(format!("{}-{moved}", uuid::Uuid::now_v7()));
                fs::rename(entry.path(), &target)?;
                pending.push(target);
            }
        }
        if directory != top {
            fs::remove_dir(&directory)?;
        }
    }
    fs::remove_dir(top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_removed_however_deep_it_is() {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().join("top");
        fs::create_dir(&top).unwrap();
        // Deeper than a path may be long, so it is built from the inside out.
        for depth in 0..5_000 {
            let outer = root.path().join("outer");
            fs::create_dir(&outer).unwrap();
            fs::write(outer.join("file"), "x").unwrap();
            if depth > 0 {
                fs::rename(root.path().join("inner"), outer.join("inner")).unwrap();
            }
            fs::rename(&outer, root.path().join("inner")).unwrap();
        }
        fs::rename(root.path().join("inner"), top.join("inner")).unwrap();
        fs::create_dir_all(top.join("a/b")).unwrap();
        std::os::unix::fs::symlink("/etc", top.join("a/link")).unwrap();
        remove_tree(&top).unwrap();
        assert!(!top.exists() && Path::new("/etc/passwd").exists());
        assert_eq!(remove_tree(&top).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn only_directories_of_ended_processes_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let stale = root.path().join("stale");
        fs::create_dir_all(stale.join("5-1/out")).unwrap();
        let first = Scratch::open(root.path()).unwrap();
        assert!(!stale.exists());
        assert_eq!(first.dead(), [WorkerId("stale".to_owned())]);
        let second = Scratch::open(root.path()).unwrap();
        assert!(first.path.exists() && second.path.exists());
        assert!(second.dead().is_empty() && first.worker() != second.worker());
        let path = first.path.clone();
        drop(first);
        assert!(!path.exists());
    }
}
