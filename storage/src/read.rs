//! Reading objects: a range as a stream, or a whole object into a local file.

use crate::error::Error;
use crate::key::Key;
use crate::storage::Storage;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::{GetOptions, GetRange, ObjectStore};
use std::io::SeekFrom;
use std::ops::Range;
use std::path::Path;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

/// Size of the read buffer.
const READ_BYTES: usize = 256 << 10;

/// A stream of the bytes of an object.
pub type ByteStream = BoxStream<'static, Result<Bytes, Error>>;

impl Storage {
    /// The bytes `range.start..range.end` of an object. The end is cut to the length of the object. An empty range is
    /// an empty stream.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::OutOfRange`] if the start is past the last byte; [`Error::Unavailable`], also as
    /// an item of the stream.
    pub async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<ByteStream, Error> {
        if range.is_empty() {
            return Ok(futures::stream::empty().boxed());
        }
        match self.local_path(key) {
            Some(path) => file_range(key, &path, range).await,
            None => self.object_range(key, range).await,
        }
    }

    /// Copies an object to a local file, in constant memory, and returns its length in bytes. An existing file is
    /// replaced. The file is not synced to disk.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Unavailable`] of the store; [`Error::LocalFile`] and [`Error::Full`] of the
    /// file, which is left incomplete then.
    pub async fn get_to_file(&self, key: &Key, path: &Path) -> Result<u64, Error> {
        let bytes = self
            .head(key)
            .await?
            .ok_or_else(|| Error::NotFound { key: key.to_string() })?;
        let mut incoming = self.get_range(key, 0..bytes).await?;
        let failed = |source| Error::of_local_file(path, source);
        let mut file = File::create(path).await.map_err(failed)?;
        let mut copied = 0;
        while let Some(chunk) = incoming.try_next().await? {
            file.write_all(&chunk).await.map_err(failed)?;
            copied += chunk.len() as u64;
        }
        file.flush().await.map_err(failed)?;
        if copied != bytes {
            let source = format!("received {copied} of {bytes} bytes").into();
            return Err(Error::Unavailable {
                doing: "read",
                key: key.to_string(),
                source,
            });
        }
        Ok(copied)
    }

    async fn object_range(&self, key: &Key, range: Range<u64>) -> Result<ByteStream, Error> {
        let start = range.start;
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        match self.store.get_opts(&key.location(), options).await {
            Ok(found) => {
                let key = key.clone();
                let failed = move |source| Error::of_store("read", key.as_str(), source);
                Ok(found.into_stream().map_err(failed).boxed())
            }
            Err(source) => match self.head(key).await? {
                Some(bytes) if bytes <= start => Err(Error::OutOfRange {
                    key: key.to_string(),
                    start,
                }),
                _ => Err(Error::of_store("read", key.as_str(), source)),
            },
        }
    }
}

async fn file_range(key: &Key, path: &Path, range: Range<u64>) -> Result<ByteStream, Error> {
    let opened = async {
        let mut file = File::open(path).await?;
        let bytes = file.metadata().await?.len();
        file.seek(SeekFrom::Start(range.start)).await?;
        Ok((file, bytes))
    };
    let (mut file, bytes) = opened
        .await
        .map_err(|source| Error::of_object_io("read", key, source))?;
    if bytes <= range.start {
        return Err(Error::OutOfRange {
            key: key.to_string(),
            start: range.start,
        });
    }
    file.set_max_buf_size(READ_BYTES);
    let requested = file.take(range.end - range.start);
    let key = key.clone();
    let failed = move |source| Error::of_object_io("read", &key, source);
    Ok(ReaderStream::with_capacity(requested, READ_BYTES)
        .map_err(failed)
        .boxed())
}
