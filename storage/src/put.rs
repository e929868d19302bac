//! Storing a stream: constant memory, hashed and counted on the way, all or nothing.

use crate::error::{Error, PutError};
use crate::key::Key;
use crate::storage::Storage;
use crate::upload::Upload;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use std::pin::pin;

/// What is copied together before it is handed on; a part of a directory, many of which make a part of a bucket. Larger
/// pieces of memory would come and go, and what is free of them stays with the process.
const BLOCK_BYTES: usize = 256 << 10;
/// The smallest that S3 takes.
const BUCKET_PART_BYTES: u64 = 5 << 20;
/// Three parts may be in memory, so a sender that announces a huge length must not set their size.
const BUCKET_PART_BYTES_MAX: u64 = 64 << 20;
const BUCKET_PARTS_MAX: u64 = 10_000;

/// What was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

impl Storage {
    /// Stores a stream under a key, durable when this returns. `declared_len` in bytes is what the
    /// sender announced; it only sets the size of the parts. Dropping the future takes back all that
    /// was written.
    ///
    /// # Errors
    /// [`PutError`]; nothing partial stays behind, whatever the reason.
    pub async fn put_stream<S, E>(
        &self,
        key: &Key,
        stream: S,
        declared_len: Option<u64>,
        max_bytes: u64,
    ) -> Result<Stored, PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>>,
    {
        let mut feed = Feed::start(self, key, declared_len.unwrap_or(max_bytes).min(max_bytes));
        match feed.take_all(stream, max_bytes).await {
            Ok(()) => Ok(feed.finish().await?),
            Err(error) => {
                feed.abort().await;
                Err(error)
            }
        }
    }

    fn part_bytes(&self, expected_bytes: u64) -> usize {
        if self.local_root().is_some() {
            return BLOCK_BYTES;
        }
        let part = expected_bytes
            .div_ceil(BUCKET_PARTS_MAX)
            .clamp(BUCKET_PART_BYTES, BUCKET_PART_BYTES_MAX);
        usize::try_from(part).expect("64 MiB is a length in memory")
    }
}

/// Collects chunks of any size into blocks. Copies them, so that memory does not depend on how the
/// sender cuts its data.
pub(crate) struct Feed {
    upload: Upload,
    buffer: BytesMut,
    hash: Sha256,
    bytes: u64,
}

impl Feed {
    pub(crate) fn start(storage: &Storage, key: &Key, expected_bytes: u64) -> Self {
        let part_bytes = storage.part_bytes(expected_bytes);
        Self {
            upload: Upload::start(storage.store.clone(), key.clone(), part_bytes),
            buffer: BytesMut::new(),
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    async fn take_all<S, E>(&mut self, stream: S, max_bytes: u64) -> Result<(), PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>>,
    {
        let mut stream = pin!(stream);
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(PutError::Source)?;
            if max_bytes - self.bytes < chunk.len() as u64 {
                return Err(PutError::TooLarge { limit_bytes: max_bytes });
            }
            self.take(&chunk).await?;
        }
        if self.bytes == 0 { Err(PutError::Empty) } else { Ok(()) }
    }

    pub(crate) async fn take(&mut self, mut chunk: &[u8]) -> Result<(), Error> {
        self.hash.update(chunk);
        self.bytes += chunk.len() as u64;
        while !chunk.is_empty() {
            if self.buffer.len() == BLOCK_BYTES {
                let block = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(BLOCK_BYTES));
                self.upload.block(block.freeze()).await?;
            }
            let room = BLOCK_BYTES - self.buffer.len();
            let (now, later) = chunk.split_at(room.min(chunk.len()));
            self.buffer.extend_from_slice(now);
            chunk = later;
        }
        Ok(())
    }

    pub(crate) async fn finish(self) -> Result<Stored, Error> {
        self.upload.finish(self.buffer.freeze()).await?;
        Ok(Stored {
            bytes: self.bytes,
            sha256: hex::encode(self.hash.finalize()),
        })
    }

    pub(crate) async fn abort(self) {
        self.upload.abort().await;
    }
}
