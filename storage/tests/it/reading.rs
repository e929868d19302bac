//! Reading ranges and whole objects, and removing them.

use crate::column::{Column, PART, columns, noise, source};
use domain::TaskId;
use futures::TryStreamExt;
use storage::{Error, FileName, Key};

#[tokio::test]
async fn a_range_contains_exactly_the_requested_bytes() {
    for column in columns().await {
        let (key, bytes) = (source(), noise(PART + 1_000));
        column.put(&key, &bytes).await;
        let end = bytes.len() as u64;
        for range in [0..1, 0..end, 5..6, 999..300_000, end - 1..end, 7..7] {
            let expected = &bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
            assert!(
                read(&column, &key, range.clone()).await.unwrap() == expected,
                "{}: {range:?}",
                column.name
            );
        }
        assert_eq!(
            read(&column, &key, end - 3..end + 100).await.unwrap(),
            &bytes[bytes.len() - 3..],
            "{}",
            column.name
        );
        for start in [end, end + 5] {
            let past_end = read(&column, &key, start..start + 10).await;
            assert!(
                matches!(past_end, Err(Error::OutOfRange { .. })),
                "{}: {past_end:?}",
                column.name
            );
        }
    }
}

#[tokio::test]
async fn a_missing_object_is_not_found() {
    for column in columns().await {
        let key = source();
        assert_eq!(column.storage.head(&key).await.unwrap(), None, "{}", column.name);
        let range = read(&column, &key, 0..10).await;
        assert!(
            matches!(&range, Err(Error::NotFound { key: missing }) if *missing == key.to_string()),
            "{range:?}"
        );
        let target = column.dir.path().join("copy");
        let copy = column.storage.get_to_file(&key, &target).await;
        assert!(matches!(copy, Err(Error::NotFound { .. })), "{}: {copy:?}", column.name);
        assert!(!target.exists());
        column.storage.delete(&key).await.unwrap();
        column
            .storage
            .delete_prefix(&Key::attempt_prefix(TaskId(1), 2))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn copying_into_a_missing_directory_fails() {
    for column in columns().await {
        let key = source();
        column.put(&key, b"abc").await;
        let copy = column
            .storage
            .get_to_file(&key, &column.dir.path().join("no/such/dir"))
            .await;
        assert!(
            matches!(copy, Err(Error::LocalFile { .. })),
            "{}: {copy:?}",
            column.name
        );
    }
}

#[tokio::test]
async fn objects_have_a_local_path_only_in_a_directory() {
    for column in columns().await {
        let key = source();
        column.put(&key, b"abc").await;
        match column.name {
            "directory" => {
                assert_eq!(std::fs::read(column.storage.local_path(&key).unwrap()).unwrap(), b"abc");
                assert!(
                    column
                        .storage
                        .local_path(&key)
                        .unwrap()
                        .starts_with(column.storage.local_root().unwrap())
                );
            }
            _ => assert_eq!(
                (column.storage.local_path(&key), column.storage.local_root()),
                (None, None)
            ),
        }
    }
}

#[tokio::test]
async fn removing_a_prefix_removes_that_attempt_only() {
    for column in columns().await {
        let file = |name| FileName::parse(name).unwrap();
        let ours: Vec<_> = ["web.mp4", "hls/master.m3u8", "hls/720p/segment_1.m4s"]
            .iter()
            .flat_map(|name| [1, 2].map(|attempt| Key::output(TaskId(1), attempt, &file(name))))
            .collect();
        let others = [
            Key::output(TaskId(10), 1, &file("web.mp4")),
            Key::output(TaskId(2), 1, &file("1")),
            source(),
        ];
        for key in ours.iter().chain(&others) {
            column.put(key, b"abc").await;
        }
        column
            .storage
            .delete_prefix(&Key::attempt_prefix(TaskId(1), 1))
            .await
            .unwrap();
        for key in &ours {
            let kept = key.as_str().starts_with("outputs/1/2/");
            assert_eq!(
                column.storage.head(key).await.unwrap().is_some(),
                kept,
                "{}: {key}",
                column.name
            );
        }
        column
            .storage
            .delete_prefix(&Key::attempt_prefix(TaskId(1), 2))
            .await
            .unwrap();
        for key in &ours {
            assert_eq!(column.storage.head(key).await.unwrap(), None, "{}: {key}", column.name);
        }
        for key in &others {
            assert_eq!(
                column.storage.head(key).await.unwrap(),
                Some(3),
                "{}: {key}",
                column.name
            );
        }
        column.storage.delete(&others[0]).await.unwrap();
        assert_eq!(column.storage.head(&others[0]).await.unwrap(), None, "{}", column.name);
    }
}

async fn read(column: &Column, key: &Key, range: std::ops::Range<u64>) -> Result<Vec<u8>, Error> {
    let chunks: Vec<_> = column.storage.get_range(key, range).await?.try_collect().await?;
    Ok(chunks.concat())
}
