//! The directory of the catalog of this process.
//!
//! *Problem.* Several processes may share a data directory, but each catalog belongs to one process. A process that was
//! killed leaves its catalog behind, which is large and still useful.
//!
//! *Mechanism.* The directories below the root are numbered. A process takes the first one that no other process holds:
//! a lock (flock(2)) on a file in it ends with the process, for any reason.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Name of the locked file.
const LOCK: &str = "lock";

/// Maximum number of processes below one root.
const SLOTS: u32 = 1_000;

/// A directory that this process holds.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) directory: PathBuf,
    _lock: File,
}

/// Takes the first free directory below a root, which is created if it does not exist.
pub(super) fn claim(root: &Path) -> io::Result<Slot> {
    for number in 0..SLOTS {
        let directory = root.join(number.to_string());
        fs::create_dir_all(&directory)?;
        let lock = File::create(directory.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => return Ok(Slot { directory, _lock: lock }),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::other("all directories of catalogs are in use"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_has_a_directory_and_a_freed_one_is_used_again() {
        let root = tempfile::tempdir().unwrap();
        let first = claim(root.path()).unwrap();
        let second = claim(root.path()).unwrap();
        assert_ne!(first.directory, second.directory);
        let freed = first.directory.clone();
        drop(first);
        assert_eq!(claim(root.path()).unwrap().directory, freed);
    }
}
