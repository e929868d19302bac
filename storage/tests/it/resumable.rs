//! Files that are written in several requests.

use crate::column::{columns, open_bucket};
use crate::failures::{server_with_response, server_with_responses};
use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use storage::{Error, Extent, Key, Multipart, Position, Proceed, Progress, Storage};
use uuid::Uuid;

/// A file that is being written, as a caller keeps it in its database.
struct File {
    position: Position,
    parts: Vec<String>,
}

impl File {
    async fn begin(storage: &Storage) -> Self {
        let key = Key::source(Uuid::new_v4());
        let multipart = storage.begin(&key, 20 << 20).await.unwrap();
        let position = Position {
            key,
            bytes: 0,
            hash_state: None,
            multipart,
        };
        Self {
            position,
            parts: Vec::new(),
        }
    }

    fn record(&mut self, progress: Progress) {
        self.position.bytes = progress.bytes;
        self.position.hash_state = Some(progress.hash_state);
        self.position.multipart = self.position.multipart.take().map(|multipart| Multipart {
            tail: progress.tail,
            ..multipart
        });
        let mut parts = progress.parts;
        // In the order in which the bucket has answered.
        parts.sort();
        for (number, part) in parts {
            self.parts.truncate(usize::try_from(number).unwrap());
            self.parts.push(part);
        }
    }

    /// Appends bytes in one request.
    async fn append(&mut self, storage: &Storage, bytes: &[u8], extent: Extent) {
        let mut appender = storage.resume(&self.position).await.unwrap();
        for chunk in bytes.chunks(100_000) {
            appender.write(chunk).await.unwrap();
        }
        self.record(appender.checkpoint(extent).await.unwrap());
    }
}

fn proceed(is_held: bool) -> Proceed {
    Arc::new(move || is_held)
}

fn data(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| u8::try_from(index * 31 % 251).unwrap())
        .collect()
}

async fn read(storage: &Storage, key: &Key) -> Vec<u8> {
    let stream = storage.get_range(key, 0..u64::MAX / 2).await.unwrap();
    let chunks: Vec<_> = stream.try_collect().await.unwrap();
    chunks.concat()
}

#[tokio::test]
async fn pieces_of_any_size_become_one_object_with_the_hash_of_all() {
    for column in columns().await {
        let (storage, data) = (&column.storage, data(17_000_000));
        for cuts in [
            &[][..],
            &[1],
            &[5 << 20],
            &[5 << 20, 10 << 20],
            &[1, 2, 3_000_000, 16_000_000],
            &[16_999_999],
        ] {
            let mut file = File::begin(storage).await;
            let mut from = 0;
            for cut in cuts {
                file.append(storage, &data[from..*cut], Extent::Everything).await;
                assert_eq!(file.position.bytes, *cut as u64);
                // Bytes that are not recorded do not count.
                let mut lost = storage.resume(&file.position).await.unwrap();
                lost.write(&[7; 300_000]).await.unwrap();
                lost.roll_back().await;
                from = *cut;
            }
            file.append(storage, &data[from..], Extent::End).await;
            for _ in 0..2 {
                let stored = storage.complete(&file.position, file.parts.clone()).await.unwrap();
                assert_eq!(stored.bytes, data.len() as u64);
                assert_eq!(stored.sha256, hex::encode(Sha256::digest(&data)), "{cuts:?}");
            }
            assert!(read(storage, &file.position.key).await == data, "{cuts:?}");
            let multipart = file.position.multipart.as_ref().map(|multipart| multipart.id.as_str());
            storage.abort_multipart(&file.position.key, multipart).await.unwrap();
            assert!(
                storage.head(&file.position.key).await.unwrap().is_some(),
                "it is complete"
            );
        }
    }
}

#[tokio::test]
async fn an_aborted_file_leaves_nothing() {
    for column in columns().await {
        let storage = &column.storage;
        let mut file = File::begin(storage).await;
        file.append(storage, &data(6_000_000), Extent::Everything).await;
        let multipart = file.position.multipart.as_ref().map(|multipart| multipart.id.as_str());
        let key = &file.position.key;
        storage.abort_multipart(key, multipart).await.unwrap();
        storage.delete(key).await.unwrap();
        storage.delete_prefix(&key.upload_tails()).await.unwrap();
        assert_eq!(storage.count(&key.upload_tails(), 10).await.unwrap(), 0);
        assert!(storage.head(key).await.unwrap().is_none());
        assert!(storage.complete(&file.position, file.parts.clone()).await.is_err());
    }
}

#[tokio::test]
async fn checkpoints_on_the_way_name_bytes_from_which_the_file_can_be_continued() {
    for column in columns().await {
        let (storage, data) = (&column.storage, data(40_000_000));
        let mut file = File::begin(storage).await;
        let mut appender = storage.resume(&file.position).await.unwrap();
        let mut written = 0;
        for piece in data.chunks(7_000_000).take(4) {
            appender.write(piece).await.unwrap();
            let progress = appender.checkpoint(Extent::Ready).await.unwrap();
            assert!(progress.bytes <= (written + piece.len()) as u64);
            file.record(progress);
            written += piece.len();
        }
        assert!(file.position.bytes >= 10_000_000, "{:?}", file.position);
        // The bytes behind the last checkpoint do not count.
        appender.write(&[7; 300_000]).await.unwrap();
        appender.roll_back().await;
        let from = usize::try_from(file.position.bytes).unwrap();
        file.append(storage, &data[from..], Extent::End).await;
        let stored = storage.complete(&file.position, file.parts.clone()).await.unwrap();
        assert_eq!(stored.sha256, hex::encode(Sha256::digest(&data)));
        assert!(read(storage, &file.position.key).await == data);
    }
}

#[tokio::test]
async fn a_file_in_a_directory_has_one_writer_and_is_copied_for_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file://{}", directory.path().display());
    let storage = Storage::open(&url, None).await.unwrap();
    let mut file = File::begin(&storage).await;
    file.append(&storage, &data(1_000), Extent::Everything).await;
    let mut first = storage.resume(&file.position).await.unwrap();
    let refused = storage.resume(&file.position).await;
    assert!(matches!(refused, Err(Error::InUse { .. })), "{refused:?}");
    let copy = Key::source(Uuid::new_v4());
    let copied = storage
        .copy_unfinished(&file.position, Vec::new(), &copy, &proceed(true))
        .await;
    assert!(copied.unwrap().is_none());
    let old = std::mem::replace(&mut file.position.key, copy);
    first.write(&[7; 600_000]).await.unwrap();
    file.append(&storage, &data(2_000)[1_000..], Extent::End).await;
    first.checkpoint(Extent::Everything).await.unwrap();
    drop(first);
    assert!(read(&storage, &file.position.key).await == data(2_000));
    assert_eq!(storage.head(&old).await.unwrap(), Some(601_000));
    storage.delete(&old).await.unwrap();
    file.position.key = old;
    let gone = storage.resume(&file.position).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_file_in_a_bucket_is_copied_and_takes_no_more_parts_of_the_first_writer() {
    for column in columns().await {
        let storage = &column.storage;
        for (written, copies) in [(1_000_000, 2), (12_000_000, 2)] {
            let mut file = File::begin(storage).await;
            if file.position.multipart.is_none() {
                continue;
            }
            file.append(storage, &data(written), Extent::Everything).await;
            let mut first = storage.resume(&file.position).await.unwrap();
            // Also when the process dies after the end of the multipart upload.
            for _ in 0..copies {
                let copy = Key::source(Uuid::new_v4());
                let copied = storage
                    .copy_unfinished(&file.position, file.parts.clone(), &copy, &proceed(true))
                    .await;
                let (multipart, progress) = copied.unwrap().unwrap();
                assert_eq!(progress.bytes, written as u64);
                let mut moved = File {
                    position: Position {
                        key: copy,
                        multipart: Some(multipart),
                        ..file.position.clone()
                    },
                    parts: Vec::new(),
                };
                moved.record(progress);
                let whole = data(written + 9_000_000);
                moved.append(storage, &whole[written..], Extent::End).await;
                let stale = async {
                    first.write(&[7; 6_000_000]).await?;
                    first.checkpoint(Extent::Everything).await
                };
                assert!(stale.await.is_err());
                let stored = storage.complete(&moved.position, moved.parts.clone()).await.unwrap();
                assert_eq!(stored.sha256, hex::encode(Sha256::digest(&whole)));
                assert!(read(storage, &moved.position.key).await == whole);
                first = storage.resume(&file.position).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_copy_ends_when_its_request_was_replaced_and_leaves_no_multipart_upload() {
    for column in columns().await {
        let storage = &column.storage;
        let mut file = File::begin(storage).await;
        file.append(storage, &data(6_000_000), Extent::Everything).await;
        let copy = Key::source(Uuid::new_v4());
        let replaced = proceed(false);
        let copied = storage.copy_unfinished(&file.position, file.parts.clone(), &copy, &replaced);
        let refused = copied.await;
        assert!(matches!(refused, Err(Error::InUse { .. })), "{refused:?}");
        storage.delete(&copy).await.unwrap();
        storage.delete(&file.position.key).await.unwrap();
        storage.delete_prefix(&file.position.key.upload_tails()).await.unwrap();
        column.wait_until_empty().await;
    }
}

#[tokio::test]
async fn a_request_without_bytes_keeps_the_tail() {
    for column in columns().await {
        let storage = &column.storage;
        let mut file = File::begin(storage).await;
        file.append(storage, &data(6_000_000), Extent::Everything).await;
        let tail = |file: &File| file.position.multipart.as_ref().map(|multipart| multipart.tail.clone());
        let before = tail(&file);
        file.append(storage, &[], Extent::Everything).await;
        assert_eq!((tail(&file), file.position.bytes), (before, 6_000_000));
        let tails = file.position.key.upload_tails();
        let expected = usize::from(file.position.multipart.is_some());
        assert_eq!(storage.count(&tails, 10).await.unwrap(), expected, "{}", column.name);
    }
}

#[tokio::test]
async fn a_multipart_upload_that_is_gone_is_aborted_whatever_the_status_of_the_refusal_is() {
    let gone = "HTTP/1.1 400 Bad Request\r\ncontent-length: 40\r\nconnection: close\r\n\r\n\
                <Error><Code>NoSuchUpload</Code></Error>";
    let storage = open_bucket(server_with_response(gone).await, "secret").await;
    let key = Key::source(Uuid::new_v4());
    storage.abort_multipart(&key, Some("an upload")).await.unwrap();
}

#[tokio::test]
async fn a_file_that_another_request_completes_in_between_is_complete() {
    let absent = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let gone = "HTTP/1.1 404 Not Found\r\ncontent-length: 40\r\nconnection: close\r\n\r\n\
                <Error><Code>NoSuchUpload</Code></Error>";
    let there = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\nlast-modified: Mon, 02 Nov 2026 10:00:00 GMT\r\n\
                 etag: \"a\"\r\nconnection: close\r\n\r\n";
    let position = Position {
        key: Key::source(Uuid::new_v4()),
        bytes: 7,
        hash_state: None,
        multipart: Some(Multipart {
            id: "an upload".to_owned(),
            part_bytes: 5 << 20,
            tail: None,
        }),
    };
    for (replies, is_complete) in [(vec![absent, gone, there], true), (vec![absent, gone, absent], false)] {
        let storage = open_bucket(server_with_responses(replies).await, "secret").await;
        let completed = storage.complete(&position, vec!["a".to_owned()]).await;
        if is_complete {
            assert_eq!(completed.unwrap().bytes, 7);
        } else {
            assert!(matches!(completed, Err(Error::NotFound { .. })), "{completed:?}");
        }
    }
}
