//! Moving local files into the storage.

use crate::column::{PART, columns, directory, noise, sha256};
use domain::TaskId;
use std::os::unix::fs::MetadataExt;
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
        println!("SKIPPED: no second file system");
        return;
    };
    let device = |path: &std::path::Path| std::fs::metadata(path).unwrap().dev();
    if device(other.path()) == device(column.dir.path()) {
        println!("SKIPPED: no second file system");
        return;
    }
    let (local, bytes) = (other.path().join("scratch.mp4"), noise(3 * PART));
    std::fs::write(&local, &bytes).unwrap();
    let stored = column.storage.put_file(&output(1), &local).await.unwrap();
    assert_eq!(stored.sha256, sha256(&bytes));
    assert!(!local.exists());
    assert!(column.read(&output(1)).await == bytes);
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
