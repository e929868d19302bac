//! Directories in which children write. Each process has its own, under a lock that dies with it, so that the next
//! process to start removes what a killed one left behind and nothing else.
//!
//! The name of the directory is the name of the worker in the database. A directory without a living process therefore
//! also tells whose tasks need not wait for the end of their leases. Where the scratch directory does not outlive the
//! process (a tmpfs, a new container), nothing tells, and the leases decide. Workers with separate scratch directories
//! never see each other's.

use domain::WorkerId;
use entity::task::Model;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The scratch directory of this process.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    worker: WorkerId,
    dead: Vec<WorkerId>,
    _lock: Flock<File>,
}

const LOCK: &str = "lock";

impl Scratch {
    /// Makes a directory below `root` and removes those of processes that no longer run. Processes that start at the same
    /// time wait for each other.
    ///
    /// # Errors
    /// When `root` cannot be written.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        // A directory that is made and not locked yet must not look like that of a dead process.
        let starting = File::create(root.join(LOCK))?;
        let _starting = Flock::lock(starting, FlockArg::LockExclusive).map_err(|(_, error)| io::Error::from(error))?;
        let mut dead = Vec::new();
        for entry in fs::read_dir(root)? {
            dead.extend(remove_stale(&entry?.path()));
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

    /// The name of this process in the database.
    pub(crate) const fn worker(&self) -> &WorkerId {
        &self.worker
    }

    /// The processes that worked here and were killed, as far as their directories were found.
    pub(crate) fn dead(&self) -> &[WorkerId] {
        &self.dead
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A directory for one attempt; it goes when the value is dropped.
    pub(crate) fn directory(&self, task: &Model) -> io::Result<Directory> {
        let path = self.path.join(format!("{}-{}", task.id, task.attempt));
        // With its parents, which a cleanup of temporary files may have removed.
        fs::create_dir_all(&path)?;
        Ok(Directory(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// A directory that goes with its value.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes a directory in it.
    pub(crate) fn child(&self, name: &str) -> io::Result<PathBuf> {
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

/// The lock of a scratch directory; `None` when another process holds it.
fn lock(path: &Path) -> io::Result<Option<Flock<File>>> {
    let file = File::create(path.join(LOCK))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error.into()),
    }
}

/// Removes the directory of a process that no longer runs, and returns its name.
fn remove_stale(path: &Path) -> Option<WorkerId> {
    if !path.is_dir() {
        return None;
    }
    let _lock = lock(path).ok().flatten()?;
    tracing::info!(path = %path.display(), "removing what a stopped worker left behind");
    remove(path);
    let name = path.file_name()?.to_str()?;
    Some(WorkerId(name.to_owned()))
}

fn remove(path: &Path) {
    if let Err(error) = raze(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "failed to remove a scratch directory");
    }
}

/// Removes a directory and all below it, however deep: a child that was broken into may have made it so deep that to walk
/// down would take all descriptors or all of the stack. Directories in directories are moved up first.
fn raze(top: &Path) -> io::Result<()> {
    let (mut moved, mut left) = (0_u64, vec![top.to_owned()]);
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                fs::remove_file(entry.path())?;
            } else if directory == top {
                left.push(entry.path());
            } else {
                moved += 1;
                let up = top.join(format!("{}-{moved}", uuid::Uuid::now_v7()));
                fs::rename(entry.path(), &up)?;
                left.push(up);
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
    fn a_directory_goes_however_deep_it_is() {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().join("top");
        fs::create_dir(&top).unwrap();
        // Deeper than a path may be long, from the inside out.
        for depth in 0..5_000 {
            let around = root.path().join("around");
            fs::create_dir(&around).unwrap();
            fs::write(around.join("file"), "x").unwrap();
            if depth > 0 {
                fs::rename(root.path().join("inner"), around.join("inner")).unwrap();
            }
            fs::rename(&around, root.path().join("inner")).unwrap();
        }
        fs::rename(root.path().join("inner"), top.join("inner")).unwrap();
        fs::create_dir_all(top.join("a/b")).unwrap();
        std::os::unix::fs::symlink("/etc", top.join("a/link")).unwrap();
        raze(&top).unwrap();
        assert!(!top.exists() && Path::new("/etc/passwd").exists());
        assert_eq!(raze(&top).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_living_process_keeps_its_directory_and_a_dead_one_loses_it() {
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
