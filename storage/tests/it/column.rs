//! The two kinds of storage that tests run on: a directory and a bucket.

use bytes::Bytes;
use futures::Stream;
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use storage::{Key, S3Credentials, Storage, s3_server};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Size of a part of a bucket.
pub(crate) const PART: usize = 5 << 20;
/// Length limit: more than any test stores, and small enough for the minimum part size.
pub(crate) const LIMIT: u64 = 1 << 30;

/// A storage of one kind, which exists until this is dropped.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) storage: Storage,
    pub(crate) dir: TempDir,
    server: Option<JoinHandle<()>>,
}

pub(crate) async fn columns() -> Vec<Column> {
    vec![directory().await, bucket().await]
}

pub(crate) async fn directory() -> Column {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(&format!("file://{}/objects", dir.path().display()), None)
        .await
        .unwrap();
    Column {
        name: "directory",
        storage,
        dir,
        server: None,
    }
}

pub(crate) async fn bucket() -> Column {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("media")).unwrap();
    let (address, server) = s3_server::start(dir.path(), "key", "secret").await.unwrap();
    let storage = open_bucket(address, "secret").await;
    Column {
        name: "bucket",
        storage,
        dir,
        server: Some(server),
    }
}

pub(crate) async fn open_bucket(address: SocketAddr, secret: &str) -> Storage {
    let credentials = S3Credentials {
        access_key_id: "key".to_owned(),
        secret_access_key: secret.to_owned(),
    };
    let url = format!("s3://media?endpoint=http://{address}&region=eu-west-1");
    Storage::open(&url, Some(credentials)).await.unwrap()
}

impl Column {
    /// All files on disk, finished or not.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(self.dir.path(), &mut found);
        found
    }

    /// Waits until no file is left: an aborted upload is removed in the background.
    pub(crate) async fn wait_until_empty(&self) {
        let began = Instant::now();
        while !self.files().is_empty() {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{}: {:?} are left",
                self.name,
                self.files()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn put(&self, key: &Key, bytes: &[u8]) {
        let stored = self
            .storage
            .put_stream(key, chunks(bytes, 60_000), None, LIMIT)
            .await
            .unwrap();
        assert_eq!(stored.bytes, bytes.len() as u64, "{}", self.name);
        assert_eq!(stored.sha256, sha256(bytes), "{}", self.name);
    }

    pub(crate) async fn read(&self, key: &Key) -> Vec<u8> {
        let path = self.dir.path().join(format!("copy-{}", Uuid::new_v4()));
        let copied = self.storage.get_to_file(key, &path).await.unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!(copied, bytes.len() as u64);
        bytes
    }
}

impl Drop for Column {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        // The test server keeps its metadata files when it removes an object.
        let is_metadata =
            path.to_string_lossy().ends_with("metadata.json") || path.to_string_lossy().ends_with("internal.json");
        if path.is_dir() {
            collect(&path, found);
        } else if !is_metadata {
            found.push(path);
        }
    }
}

/// The key of a new source.
pub(crate) fn source() -> Key {
    Key::source(Uuid::new_v4())
}

/// Bytes that repeat only after several parts, so that a part at the wrong offset is detected.
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let words = (0..(4 * PART as u64) / 8).map(|index| index.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    words.flatten().collect()
});

pub(crate) fn noise(len: usize) -> Vec<u8> {
    NOISE[..len].to_vec()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub(crate) fn chunks(bytes: &[u8], size: usize) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let chunks: Vec<_> = bytes
        .chunks(size)
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect();
    futures::stream::iter(chunks)
}
