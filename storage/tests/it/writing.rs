//! Storing streams: whole or not at all.

use crate::column::{Column, LIMIT, PART, chunks, columns, noise, sha256, source};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use std::convert::Infallible;
use std::io;
use std::time::Duration;
use storage::PutError;

#[tokio::test]
async fn a_stream_is_stored_completely() {
    for column in columns().await {
        for len in [
            1,
            1_000,
            (1 << 20) - 1,
            1 << 20,
            (1 << 20) + 1,
            PART - 1,
            PART,
            PART + 1,
            3 * PART + 17,
        ] {
            let (key, bytes) = (source(), noise(len));
            column.put(&key, &bytes).await;
            assert_eq!(
                column.storage.head(&key).await.unwrap(),
                Some(len as u64),
                "{}",
                column.name
            );
            assert!(
                column.read(&key).await == bytes,
                "{}: {len} bytes differ after reading",
                column.name
            );
        }
    }
}

#[tokio::test]
async fn the_object_does_not_depend_on_the_size_of_chunks() {
    for column in columns().await {
        let bytes = noise(2 * PART + 99);
        for size in [7, 65_536, 3 << 20, 2 * PART + 99] {
            let key = source();
            let bytes = if size == 7 { &bytes[..100_000] } else { &bytes[..] };
            let stored = column
                .storage
                .put_stream(&key, chunks(bytes, size), Some(bytes.len() as u64), LIMIT)
                .await;
            assert_eq!(
                stored.unwrap().sha256,
                sha256(bytes),
                "{} in chunks of {size}",
                column.name
            );
            assert!(column.read(&key).await == bytes, "{} in chunks of {size}", column.name);
        }
    }
}

#[tokio::test]
async fn a_second_put_replaces_the_first() {
    for column in columns().await {
        let key = source();
        column.put(&key, &noise(PART * 2)).await;
        column.put(&key, b"short").await;
        assert_eq!(column.read(&key).await, b"short", "{}", column.name);
    }
}

#[tokio::test]
async fn an_empty_stream_is_refused() {
    for column in columns().await {
        let empty = futures::stream::iter([Ok::<_, Infallible>(Bytes::new())]);
        let refused = column.storage.put_stream(&source(), empty, Some(0), LIMIT).await;
        assert!(matches!(refused, Err(PutError::Empty)), "{}: {refused:?}", column.name);
        assert!(column.files().is_empty(), "{}: {:?}", column.name, column.files());
    }
}

#[tokio::test]
async fn a_stream_over_the_limit_is_not_stored() {
    for column in columns().await {
        let exact = column
            .storage
            .put_stream(&source(), chunks(&noise(1_000), 100), None, 1_000)
            .await;
        assert_eq!(exact.unwrap().bytes, 1_000);
        let column = fresh(column).await;
        for (len, limit_bytes) in [(1_001, 1_000), (3 * PART, 2 * PART + 5)] {
            let bytes = chunks(&noise(len), 99_999);
            let refused = column
                .storage
                .put_stream(&source(), bytes, None, limit_bytes as u64)
                .await;
            let Err(PutError::TooLarge { limit_bytes: reported }) = refused else {
                panic!("{}: {refused:?}", column.name)
            };
            assert_eq!(reported, limit_bytes as u64);
            assert!(column.files().is_empty(), "{}: {:?}", column.name, column.files());
        }
    }
}

#[tokio::test]
async fn a_stream_that_fails_is_not_stored() {
    for column in columns().await {
        for len in [0, 1_000, 3 * PART] {
            let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
            let sent = chunks(&noise(len), 65_536).map(|chunk| chunk.map_err(|never| match never {}));
            let sent = sent.chain(futures::stream::iter([Err(reset())]));
            let failed = column.storage.put_stream(&source(), sent, None, LIMIT).await;
            assert!(
                matches!(failed, Err(PutError::Source(_))),
                "{}: {failed:?}",
                column.name
            );
            assert!(column.files().is_empty(), "{}: {:?}", column.name, column.files());
        }
    }
}

#[tokio::test]
async fn an_upload_that_is_dropped_is_removed() {
    for column in columns().await {
        for len in [1_000, PART, 3 * PART] {
            let (storage, key) = (column.storage.clone(), source());
            let sent = chunks(&noise(len), 65_536).chain(futures::stream::pending());
            let sending = tokio::spawn(async move { storage.put_stream(&key, sent, None, LIMIT).await });
            tokio::time::sleep(Duration::from_millis(100)).await;
            sending.abort();
            assert!(sending.await.unwrap_err().is_cancelled());
            column.wait_until_empty().await;
        }
    }
}

/// Covers drops between the last byte and the response, when the store is making the object visible.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_dropped_at_any_moment_is_removed_or_complete() {
    for column in columns().await {
        let (mut dropped, mut stored) = (0, 0);
        for len in [1_000, 2 * PART + 1] {
            for step in 0..25_u64 {
                let key = source();
                let limit = Duration::from_micros(step * step * 100);
                let put = column
                    .storage
                    .put_stream(&key, chunks(&noise(len), 1 << 20), None, LIMIT);
                if let Ok(outcome) = tokio::time::timeout(limit, put).await {
                    outcome.unwrap();
                    column.storage.delete(&key).await.unwrap();
                    stored += 1;
                } else {
                    dropped += 1;
                    column.wait_until_empty().await;
                }
            }
        }
        println!("{}: {dropped} dropped, {stored} stored", column.name);
        assert!(dropped > 5);
    }
}

#[tokio::test]
async fn concurrent_uploads_do_not_mix() {
    for column in columns().await {
        let puts = (0..12_usize).map(|number| {
            let column = &column;
            async move {
                let (key, bytes) = (source(), noise(PART / 2 + number * 700_001));
                column.put(&key, &bytes).await;
                assert!(
                    column.read(&key).await == bytes,
                    "{}: upload {number} differs after reading",
                    column.name
                );
            }
        });
        futures::future::join_all(puts).await;
    }
}

/// A new storage of the same kind.
async fn fresh(used: Column) -> Column {
    let mut columns = columns().await;
    let index = columns.iter().position(|column| column.name == used.name).unwrap();
    columns.swap_remove(index)
}

/// Compiles only if a stream needs neither `Unpin` nor a particular error type.
#[expect(dead_code, reason = "compiling is the test")]
async fn any_stream_is_accepted<S: Stream<Item = Result<Bytes, String>>>(column: Column, stream: S) {
    let _ = column.storage.put_stream(&source(), stream, None, 1).await;
}
