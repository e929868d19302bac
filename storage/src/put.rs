//! Storing a stream of bytes, hashed and counted on the way. The object appears whole or not at all, and memory is
//! bounded ([`crate::memory`]).

use crate::error::{Error, PutError};
use crate::key::Key;
use crate::memory::{BLOCK_BYTES, Memory, Reserved, TOTAL_BYTES};
use crate::storage::Storage;
use crate::upload::Upload;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use std::pin::pin;

/// The minimum size of a part in S3.
const BUCKET_PART_BYTES: u64 = 5 << 20;
/// Limit of the part size, which follows from the declared length. A whole part must fit into the memory for blocks.
const BUCKET_PART_BYTES_MAX: u64 = TOTAL_BYTES as u64;
/// The maximum number of parts in S3.
const BUCKET_PARTS_MAX: u64 = 10_000;

/// Length and hash of a stored object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

impl Storage {
    /// Stores a stream at a key. The object is durable when this returns.
    ///
    /// `declared_len` is the length in bytes that the sender has announced, if any. It is the limit of the stream, and
    /// determines the part size and the memory for parts. The stream is not read while the uploads of this process have
    /// used up their shared memory. If the future is dropped, everything written so far is removed.
    ///
    /// # Errors
    /// [`PutError`]. No part of the stream is kept.
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
        let mut writer = ObjectWriter::start(self, key, expected_bytes);
        match writer.write_all(stream, expected_bytes).await {
            Ok(()) => Ok(writer.finish().await?),
            Err(error) => {
                writer.abort().await;
                Err(error)
            }
        }
    }

    /// Size of the pieces that are sent to the store.
    pub(crate) fn part_bytes(&self, expected_bytes: u64) -> usize {
        if self.local_root().is_some() {
            return BLOCK_BYTES;
        }
        let part = expected_bytes
            .div_ceil(BUCKET_PARTS_MAX)
            .clamp(BUCKET_PART_BYTES, BUCKET_PART_BYTES_MAX);
        let part = usize::try_from(part).expect("a part fits into memory");
        // Memory is reserved in whole blocks.
        part.next_multiple_of(BLOCK_BYTES)
    }
}

/// Writes an object from chunks of any size. The chunks are copied into blocks, so that the memory does not depend on
/// how the sender splits its data.
pub(crate) struct ObjectWriter {
    upload: Upload,
    memory: Memory,
    part_bytes: usize,
    expected_bytes: u64,
    /// Memory for the rest of the current part.
    reserved: Option<Reserved>,
    buffer: BytesMut,
    hash: Sha256,
    bytes: u64,
}

impl ObjectWriter {
    pub(crate) fn start(storage: &Storage, key: &Key, expected_bytes: u64) -> Self {
        let part_bytes = storage.part_bytes(expected_bytes);
        Self {
            upload: Upload::start(storage.store.clone(), key.location(), part_bytes),
            memory: storage.memory.clone(),
            part_bytes,
            expected_bytes,
            reserved: None,
            buffer: BytesMut::new(),
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    /// Writes a whole stream of at most `limit_bytes`.
    async fn write_all<S, E>(&mut self, stream: S, limit_bytes: u64) -> Result<(), PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>>,
    {
        let mut stream = pin!(stream);
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(PutError::Source)?;
            if limit_bytes - self.bytes < chunk.len() as u64 {
                return Err(PutError::TooLarge { limit_bytes });
            }
            let part = self.reserved.as_ref();
            if part.is_some_and(|part| self.memory.is_overdue(part)) {
                return Err(PutError::TooSlow);
            }
            self.write(&chunk).await?;
        }
        if self.bytes == 0 { Err(PutError::Empty) } else { Ok(()) }
    }

    pub(crate) async fn write(&mut self, mut chunk: &[u8]) -> Result<(), Error> {
        self.hash.update(chunk);
        while !chunk.is_empty() {
            if self.buffer.len() == BLOCK_BYTES {
                let block = self.block();
                self.upload.block(block).await?;
            }
            self.reserve().await;
            if self.buffer.capacity() == 0 {
                self.buffer = self.memory.buffer();
            }
            let free = BLOCK_BYTES - self.buffer.len();
            let (now, later) = chunk.split_at(free.min(chunk.len()));
            self.buffer.extend_from_slice(now);
            self.bytes += now.len() as u64;
            chunk = later;
        }
        Ok(())
    }

    /// Waits for memory for the next part if that of the current one is used up. All blocks of the current part have
    /// been passed on then.
    async fn reserve(&mut self) {
        if self.reserved.as_ref().is_none_or(Reserved::is_used_up) {
            self.reserved = None;
            let rest = self.expected_bytes.saturating_sub(self.bytes);
            let rest = usize::try_from(rest).unwrap_or(usize::MAX);
            self.reserved = Some(self.memory.part(self.part_bytes.min(rest)).await);
        }
    }

    /// Takes the collected bytes as a block.
    fn block(&mut self) -> Bytes {
        let bytes = std::mem::take(&mut self.buffer);
        match &mut self.reserved {
            Some(reserved) => reserved.block(bytes),
            None => bytes.freeze(),
        }
    }

    /// Writes the rest and waits until the object is durable.
    pub(crate) async fn finish(mut self) -> Result<Stored, Error> {
        let rest = self.block();
        // Releases memory that was reserved and not needed.
        self.reserved = None;
        self.upload.finish(rest).await?;
        Ok(Stored {
            bytes: self.bytes,
            sha256: hex::encode(self.hash.finalize()),
        })
    }

    /// Removes everything that was written.
    pub(crate) async fn abort(self) {
        self.upload.abort().await;
    }
}
