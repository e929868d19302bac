//! Stores that are full, unresponsive or missing, and refused credentials.

use crate::column::{LIMIT, bucket, chunks, directory, noise, open_bucket, source};
use crate::skip;
use bytes::Bytes;
use futures::StreamExt;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};
use storage::{Error, PutError, S3Credentials, Storage};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::test]
async fn an_invalid_url_is_refused() {
    let credentials = || S3Credentials {
        access_key_id: "key".to_owned(),
        secret_access_key: "secret".to_owned(),
    };
    for url in [
        "",
        "objects",
        "ftp://host/dir",
        "file:relative",
        "s3://",
        "s3://b/inner",
        "s3://b?colour=red",
    ] {
        let refused = Storage::open(url, Some(credentials())).await;
        assert!(matches!(refused, Err(Error::InvalidUrl { .. })), "{url}: {refused:?}");
    }
    assert!(matches!(
        Storage::open("s3://media", None).await,
        Err(Error::InvalidUrl { .. })
    ));
    assert!(Storage::open("s3://media", Some(credentials())).await.is_ok());
    assert!(!format!("{:?}", credentials()).contains("secret\""));
}

#[tokio::test]
async fn ready_reports_if_the_store_responds() {
    let column = directory().await;
    column.storage.ready().await.unwrap();
    std::fs::remove_dir_all(column.storage.local_root().unwrap()).unwrap();
    assert!(matches!(column.storage.ready().await, Err(Error::Unavailable { .. })));

    bucket().await.storage.ready().await.unwrap();
    let column = bucket().await;
    std::fs::remove_dir(column.dir.path().join("media")).unwrap();
    assert!(
        matches!(column.storage.ready().await, Err(Error::Unavailable { .. })),
        "the bucket does not exist"
    );
    let unresponsive = open_bucket(server_with_response("").await, "secret").await;
    let started = Instant::now();
    assert!(matches!(unresponsive.ready().await, Err(Error::Unavailable { .. })));
    assert!(
        started.elapsed() < Duration::from_millis(2_500),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_wrong_secret_is_not_reported_as_a_missing_object() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("media")).unwrap();
    let (address, _server) = storage::s3_server::start(dir.path(), "key", "secret").await.unwrap();
    let intruder = open_bucket(address, "guessed").await;
    let key = source();
    let put = intruder.put_stream(&key, chunks(b"abc", 3), None, 10).await;
    assert!(
        matches!(put, Err(PutError::Storage(Error::Unavailable { .. }))),
        "{put:?}"
    );
    assert!(matches!(intruder.head(&key).await, Err(Error::Unavailable { .. })));
    assert!(matches!(intruder.ready().await, Err(Error::Unavailable { .. })));
}

#[tokio::test]
async fn a_full_server_is_distinguished_from_a_broken_one() {
    for (response, is_full) in [
        (
            "HTTP/1.1 507 Insufficient Storage\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            true,
        ),
        (
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            false,
        ),
    ] {
        let storage = open_bucket(server_with_response(response).await, "secret").await;
        let put = storage.put_stream(&source(), chunks(b"abc", 3), None, 10).await;
        assert_eq!(matches!(put, Err(PutError::StorageFull)), is_full, "{put:?}");
        assert_eq!(
            matches!(put, Err(PutError::Storage(Error::Unavailable { .. }))),
            !is_full,
            "{put:?}"
        );
    }
}

#[tokio::test]
async fn a_full_disk_is_reported_and_works_again_when_there_is_space() {
    let Some(disk) = SmallDisk::mount() else { return };
    let storage = Storage::open(&format!("file://{}", disk.0.path().display()), None)
        .await
        .unwrap();
    let key = source();
    let put = storage
        .put_stream(&key, chunks(&noise(20 << 20), 65_536), None, LIMIT)
        .await;
    assert!(matches!(put, Err(PutError::StorageFull)), "{put:?}");
    assert_eq!(storage.head(&key).await.unwrap(), None);
    let scratch = tempfile::tempdir().unwrap();
    let local = scratch.path().join("output.mp4");
    std::fs::write(&local, noise(20 << 20)).unwrap();
    let stored = storage.put_file(&key, &local).await;
    assert!(matches!(stored, Err(Error::Full { .. })), "{stored:?}");
    assert!(local.exists());
    let fits = storage
        .put_stream(&key, chunks(&noise(10 << 20), 65_536), None, LIMIT)
        .await;
    assert_eq!(fits.unwrap().bytes, 10 << 20);
    let copied = storage.get_to_file(&key, &disk.0.path().join("copy")).await;
    assert!(matches!(copied, Err(Error::Full { .. })), "{copied:?}");
}

/// A mounted file system of 12 MiB.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount
            .args(["-t", "tmpfs", "-o", "size=12m", "none"])
            .arg(dir.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        skip::missing("the right to mount a file system (root)");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// Starts a server that sends this response to each request, or closes the connection if it is empty.
pub(crate) async fn server_with_response(response: &'static str) -> SocketAddr {
    server_with_responses(vec![response]).await
}

/// Starts a server that sends these responses in order, and the last one again and again.
pub(crate) async fn server_with_responses(responses: Vec<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let last = responses.last().copied().unwrap_or_default();
        let mut responses = responses.into_iter().chain(std::iter::repeat(last));
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4_096]).await;
            let _ = socket.write_all(responses.next().unwrap().as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn removing_an_object_removes_what_a_killed_process_has_written_of_it() {
    let column = directory().await;
    let (key, other) = (source(), source());
    column.put(&other, b"other").await;
    let unfinished = column.dir.path().join(format!("objects/{}#1", key.as_str()));
    let first = futures::stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from(vec![1; 2 << 20]))]);
    let stream = first.chain(futures::stream::pending());
    let write = column.storage.put_stream(&key, stream, None, LIMIT);
    let removed = async {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !unfinished.exists() {
            assert!(Instant::now() < deadline, "there is no {}", unfinished.display());
            tokio::task::yield_now().await;
        }
        column.storage.delete(&key).await.unwrap();
        let directory = unfinished.parent().unwrap();
        std::fs::read_dir(directory).unwrap().count()
    };
    let left = tokio::select! {
        _ = write => unreachable!("the stream does not end"),
        left = removed => left,
    };
    assert_eq!(left, 1);
    assert_eq!(column.read(&other).await, b"other");
}
