//! Moving local files into the storage.

use crate::column::{PART, columns, directory, noise, sha256};
use crate::skip;
use domain::TaskId;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use storage::{Error, FileName, Key};

fn output(attempt: i32) -> Key {
    Key::output(TaskId(5), attempt, &FileName::parse("hls/720p/init.mp4").unwrap())
}

#[tokio::test]
async fn a_stored_local_file_becomes_the_object_and_its_path_is_gone() {
    for column in columns().await {
        for (attempt, len) in [(1, 0), (2, 10), (3, 2 * PART + 3)] {
            let (local, bytes) = (column.dir.path().join("scratch.mp4"), noise(len));
            std::fs::write(&local, &bytes).unwrap();
            let stored = column.storage.put_file(&output(attempt), &local).await.unwrap();
            assert_eq!(
                (stored.bytes, stored.sha256),
                (len as u64, sha256(&bytes)),
                "{}",
                column.name
            );
            assert!(!local.exists(), "{}", column.name);
            assert!(column.read(&output(attempt)).await == bytes, "{}", column.name);
        }
    }
}

#[tokio::test]
async fn in_a_directory_storing_a_local_file_is_a_rename() {
    let column = directory().await;
    let local = column.dir.path().join("scratch.mp4");
    std::fs::write(&local, b"abc").unwrap();
    let before = std::fs::metadata(&local).unwrap().ino();
    column.storage.put_file(&output(1), &local).await.unwrap();
    let after = std::fs::metadata(column.storage.local_path(&output(1)).unwrap())
        .unwrap()
        .ino();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_file_of_another_file_system_is_copied() {
    let column = directory().await;
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
        return skip::missing("a file system at /dev/shm");
    };
    let device = |path: &std::path::Path| std::fs::metadata(path).unwrap().dev();
    if device(other.path()) == device(column.dir.path()) {
        return skip::missing("a file system at /dev/shm that is not that of temporary files");
    }
    let (local, bytes) = (other.path().join("scratch.mp4"), noise(3 * PART));
    std::fs::write(&local, &bytes).unwrap();
    let stored = column.storage.put_file(&output(1), &local).await.unwrap();
    assert_eq!(stored.sha256, sha256(&bytes));
    assert!(!local.exists());
    assert!(column.read(&output(1)).await == bytes);
}

/// Removes the directories of a task in a loop whenever they are empty, as removals in other processes do.
struct DirectoryRemover {
    is_stopped: Arc<AtomicBool>,
    removals: Option<JoinHandle<u32>>,
}

impl DirectoryRemover {
    fn start(directories: Vec<PathBuf>) -> Self {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stop = is_stopped.clone();
        let removals = std::thread::spawn(move || {
            let mut removals = 0;
            // From 0.1 ms to 50 ms and again: shorter than a write and longer, on any disk.
            let mut pauses = (0..10).map(|double| Duration::from_micros(100 << double)).cycle();
            while !stop.load(Ordering::Relaxed) {
                for directory in &directories {
                    removals += u32::from(std::fs::remove_dir(directory).is_ok());
                }
                std::thread::sleep(pauses.next().unwrap());
            }
            removals
        });
        Self {
            is_stopped,
            removals: Some(removals),
        }
    }

    /// Returns the number of removed directories.
    fn stop(mut self) -> u32 {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.removals.take().unwrap().join().unwrap()
    }
}

#[tokio::test]
async fn a_write_does_not_fail_because_removals_take_its_directory_away() {
    let column = directory().await;
    let below = |path: &str| column.storage.local_root().unwrap().join(path);
    // A scratch directory on the same file system, which is a rename, and one on another, which is a copy.
    let same = tempfile::tempdir_in(column.dir.path()).unwrap();
    let other = tempfile::tempdir_in("/dev/shm").ok();
    let key = Key::output(TaskId(5), 1, &FileName::parse("video.mp4").unwrap());
    let mut removals = 0;
    for scratch in [Some(&same), other.as_ref()].into_iter().flatten() {
        let remover = DirectoryRemover::start(vec![below("outputs/5/1"), below("outputs/5")]);
        for _ in 0..30 {
            let local = scratch.path().join("video.mp4");
            std::fs::write(&local, b"abc").unwrap();
            column.storage.put_file(&key, &local).await.unwrap();
            column.storage.delete(&key).await.unwrap();
        }
        removals += remover.stop();
    }
    assert!(removals > 0, "no write raced with a removal");
}

#[tokio::test]
async fn a_removed_output_leaves_no_empty_directory() {
    let column = directory().await;
    let root = column.storage.local_root().unwrap();
    let key = |task, attempt, name: &str| Key::output(TaskId(task), attempt, &FileName::parse(name).unwrap());
    let keys = [
        key(5, 1, "video.mp4"),
        key(5, 2, "video.mp4"),
        key(5, 2, "poster.jpg"),
        key(6, 1, "hls/720p/init.mp4"),
    ];
    for key in &keys {
        column.put(key, b"abc").await;
    }
    column.storage.delete(&keys[0]).await.unwrap();
    assert!(!root.join("outputs/5/1").exists());
    column.storage.delete(&keys[1]).await.unwrap();
    assert!(root.join("outputs/5/2/poster.jpg").exists());
    column.storage.delete(&keys[2]).await.unwrap();
    assert!(!root.join("outputs/5").exists());
    let set = Key::output_set(TaskId(6), 1, &FileName::parse("hls").unwrap());
    column.storage.delete_prefix(&set).await.unwrap();
    assert!(!root.join("outputs/6").exists());
    // Removed by another process in the meantime.
    column.storage.delete(&keys[0]).await.unwrap();
    column.storage.delete_prefix(&set).await.unwrap();
    assert!(root.join("outputs").exists());
}

#[tokio::test]
async fn a_stored_local_file_replaces_an_existing_object() {
    for column in columns().await {
        column.put(&output(1), b"old").await;
        let local = column.dir.path().join("scratch.mp4");
        std::fs::write(&local, b"newer").unwrap();
        column.storage.put_file(&output(1), &local).await.unwrap();
        assert_eq!(column.read(&output(1)).await, b"newer", "{}", column.name);
    }
}

#[tokio::test]
async fn the_error_for_a_missing_file_contains_its_path() {
    for column in columns().await {
        let local = column.dir.path().join("missing.mp4");
        let failed = column.storage.put_file(&output(1), &local).await;
        assert!(
            matches!(&failed, Err(Error::LocalFile { path, .. }) if *path == local),
            "{}: {failed:?}",
            column.name
        );
        assert_eq!(column.storage.head(&output(1)).await.unwrap(), None, "{}", column.name);
    }
}
