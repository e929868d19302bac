//! Copying to another storage.

use crate::column::{columns, directory, sha256, source};
use domain::task::TaskId;
use storage::{Error, FileName, Key, Target};

#[tokio::test]
async fn an_object_is_copied_with_its_length_and_hash() {
    for column in columns().await {
        let (key, copy) = (source(), directory().await);
        column.put(&key, b"a file").await;
        let target = Target::Object(key.clone());
        let stored = column.storage.copy(&copy.storage, &target, None).await.unwrap();
        assert_eq!(stored.bytes, 6, "{}", column.name);
        assert_eq!(stored.sha256, sha256(b"a file"), "{}", column.name);
        assert_eq!(copy.read(&key).await, b"a file");
    }
}

#[tokio::test]
async fn a_set_is_copied_whole_and_hashed_by_its_entry() {
    for column in columns().await {
        let copy = directory().await;
        let prefix = Key::output_set(TaskId(7), 1, &FileName::parse("hls").unwrap());
        let file = |name| prefix.file(&FileName::parse(name).unwrap()).unwrap();
        column.put(&file("master.m3u8"), b"#EXTM3U").await;
        column.put(&file("720p/1.m4s"), b"segment").await;
        // A file of another attempt, which is not part of the set.
        let other = Key::output(TaskId(7), 2, &FileName::parse("hls/master.m3u8").unwrap());
        column.put(&other, b"#EXTM3U other").await;
        let target = Target::Set(prefix.clone());
        let stored = column
            .storage
            .copy(&copy.storage, &target, Some("master.m3u8"))
            .await
            .unwrap();
        assert_eq!(stored.bytes, 14, "{}", column.name);
        assert_eq!(stored.sha256, sha256(b"#EXTM3U"));
        assert_eq!(copy.read(&file("720p/1.m4s")).await, b"segment");
        assert!(copy.storage.head(&other).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn copying_a_missing_object_or_set_is_not_found() {
    for column in columns().await {
        let copy = directory().await;
        let is_not_found = |error| matches!(error, Error::NotFound { .. });
        let object = Target::Object(source());
        assert!(is_not_found(
            column.storage.copy(&copy.storage, &object, None).await.unwrap_err()
        ));
        let set = Target::Set(Key::output_set(TaskId(7), 1, &FileName::parse("hls").unwrap()));
        let entry = Some("master.m3u8");
        assert!(is_not_found(
            column.storage.copy(&copy.storage, &set, entry).await.unwrap_err()
        ));
        assert!(copy.files().is_empty(), "{:?}", copy.files());
    }
}
