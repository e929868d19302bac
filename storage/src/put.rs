//! Storing a stream: bounded memory ([`crate::memory`]), hashed and counted on the way, all or nothing.

use crate::error::{Error, PutError};
use crate::key::Key;
use crate::memory::{BLOCK_BYTES, Memory, Reserved};
use crate::storage::Storage;
use crate::upload::Upload;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use std::pin::pin;

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
    /// sender announced: it sets the size of the parts and the memory for them, and no more than that is taken. Dropping
    /// the future takes back all that was written. While uploads of this process fill the memory that they share, the
    /// stream is not read.
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
        let expected_bytes = declared_len.unwrap_or(max_bytes).min(max_bytes);
        let mut feed = Feed::start(self, key, expected_bytes);
        match feed.take_all(stream, expected_bytes).await {
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
        let part = usize::try_from(part).expect("64 MiB is a length in memory");
        // Memory is reserved in whole blocks.
        part.next_multiple_of(BLOCK_BYTES)
    }
}

/// Collects chunks of any size into blocks. Copies them, so that memory does not depend on how the
/// sender cuts its data.
pub(crate) struct Feed {
    upload: Upload,
    memory: Memory,
    part_bytes: usize,
    expected_bytes: u64,
    /// Memory for the rest of the part that is being filled.
    reserved: Option<Reserved>,
    buffer: BytesMut,
    hash: Sha256,
    bytes: u64,
}

impl Feed {
    pub(crate) fn start(storage: &Storage, key: &Key, expected_bytes: u64) -> Self {
        let part_bytes = storage.part_bytes(expected_bytes);
        Self {
            upload: Upload::start(storage.store.clone(), key.clone(), part_bytes),
            memory: storage.memory.clone(),
            part_bytes,
            expected_bytes,
            reserved: None,
            buffer: BytesMut::new(),
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    async fn take_all<S, E>(&mut self, stream: S, limit_bytes: u64) -> Result<(), PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>>,
    {
        let mut stream = pin!(stream);
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(PutError::Source)?;
            if limit_bytes - self.bytes < chunk.len() as u64 {
                return Err(PutError::TooLarge { limit_bytes });
            }
            let kept = self.reserved.as_ref();
            if kept.is_some_and(|part| self.memory.is_overdue(part)) {
                return Err(PutError::TooSlow);
            }
            self.take(&chunk).await?;
        }
        if self.bytes == 0 { Err(PutError::Empty) } else { Ok(()) }
    }

    pub(crate) async fn take(&mut self, mut chunk: &[u8]) -> Result<(), Error> {
        self.hash.update(chunk);
        while !chunk.is_empty() {
            if self.buffer.len() == BLOCK_BYTES {
                let block = self.block();
                self.upload.block(block).await?;
            }
            self.reserve().await;
            let room = BLOCK_BYTES - self.buffer.len();
            let (now, later) = chunk.split_at(room.min(chunk.len()));
            self.buffer.extend_from_slice(now);
            self.bytes += now.len() as u64;
            chunk = later;
        }
        Ok(())
    }

    /// Waits for memory for the next part, when none is left of the last one. All of the last one has been handed on.
    async fn reserve(&mut self) {
        if self.reserved.as_ref().is_none_or(Reserved::is_used_up) {
            self.reserved = None;
            let rest = self.expected_bytes.saturating_sub(self.bytes);
            let rest = usize::try_from(rest).unwrap_or(usize::MAX);
            self.reserved = Some(self.memory.part(self.part_bytes.min(rest)).await);
        }
    }

    /// What was collected.
    fn block(&mut self) -> Bytes {
        let bytes = std::mem::take(&mut self.buffer);
        match &mut self.reserved {
            Some(reserved) => reserved.block(bytes),
            None => bytes.freeze(),
        }
    }

    pub(crate) async fn finish(mut self) -> Result<Stored, Error> {
        let rest = self.block();
        // What was reserved and is not needed.
        self.reserved = None;
        self.upload.finish(rest).await?;
        Ok(Stored {
            bytes: self.bytes,
            sha256: hex::encode(self.hash.finalize()),
        })
    }

    pub(crate) async fn abort(self) {
        self.upload.abort().await;
    }
}
