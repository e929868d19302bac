//! Unfinished files in a bucket: multipart uploads.

use super::hash;
use super::position::{Extent, Multipart, Position, Proceed, Progress, in_use, not_found, split_for_block};
use crate::error::Error;
use crate::key::Key;
use crate::memory::{BLOCK_BYTES, Memory, Reserved};
use crate::storage::{Location, Storage};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use object_store::aws::AmazonS3;
use object_store::multipart::MultipartStore;
use object_store::{ObjectStoreExt, PutPayload};
use sha2::{Digest, Sha256};
use std::mem;
use std::sync::Arc;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Number of parts of one upload that are sent concurrently.
const MAX_PARTS_IN_FLIGHT: usize = 2;

/// Begins a multipart upload.
pub(super) async fn begin(bucket: &AmazonS3, key: &Key, part_bytes: u64) -> Result<Multipart, Error> {
    let id = bucket.create_multipart(&key.location()).await;
    let id = id.map_err(|source| Error::of_store("write", key.as_str(), source))?;
    Ok(Multipart {
        id,
        part_bytes,
        tail: None,
    })
}

/// Writes the durable bytes of a file whose multipart upload has ended to the multipart upload of a new one: those of
/// its object, and its tail.
pub(super) async fn copy(
    storage: &Storage,
    from: &Position,
    to: &Position,
    proceed: &Proceed,
) -> Result<Progress, Error> {
    let gone = || not_found(&from.key);
    let old = from.multipart.as_ref().ok_or_else(gone)?;
    let new = to.multipart.as_ref().ok_or_else(gone)?;
    let Location::Bucket(bucket) = storage.location.as_ref() else {
        return Err(gone());
    };
    let mut appender = BucketAppender::open(storage, bucket.clone(), to, new).await?;
    for (key, bytes) in [
        (Some(&from.key), old.whole_bytes(from.bytes)),
        (old.tail.as_ref(), from.bytes - old.whole_bytes(from.bytes)),
    ] {
        let Some(key) = key.filter(|_| bytes > 0) else { continue };
        let mut chunks = storage.get_range(key, 0..bytes).await?;
        while let Some(chunk) = chunks.try_next().await? {
            appender.write(&chunk).await?;
            proceed().then_some(()).ok_or_else(|| in_use(&to.key))?;
        }
    }
    let progress = appender.checkpoint(Extent::Everything).await?;
    if progress.bytes == from.bytes {
        return Ok(progress);
    }
    Err(gone())
}

/// Writes bytes behind a position: collects a part while those before are sent.
#[derive(Debug)]
pub(super) struct BucketAppender {
    bucket: Arc<AmazonS3>,
    key: Key,
    multipart_id: String,
    part_bytes: usize,
    memory: Memory,
    reserved: Option<Reserved>,
    buffer: BytesMut,
    /// The full blocks of the current part.
    blocks: Vec<Bytes>,
    /// Bytes of the current part, with those in the buffer.
    filled: usize,
    /// The number of the current part.
    number: u32,
    hash: Sha256,
    /// The hash of the whole parts.
    hash_of_parts: Sha256,
    /// The object with the bytes of the current part, until more bytes come.
    stored_tail: Option<Key>,
    sending: JoinSet<Result<(u32, String), Error>>,
    sent: Vec<(u32, String)>,
}

impl BucketAppender {
    pub(super) async fn open(
        storage: &Storage,
        bucket: Arc<AmazonS3>,
        position: &Position,
        multipart: &Multipart,
    ) -> Result<Self, Error> {
        let hash = hash::from_text(position.hash_state.as_deref(), &position.key)?;
        let number = position.bytes / multipart.part_bytes.max(1);
        let mut appender = Self {
            bucket,
            key: position.key.clone(),
            multipart_id: multipart.id.clone(),
            part_bytes: usize::try_from(multipart.part_bytes).unwrap_or(usize::MAX),
            memory: storage.memory.clone(),
            reserved: None,
            buffer: BytesMut::new(),
            blocks: Vec::new(),
            filled: 0,
            number: u32::try_from(number).unwrap_or(u32::MAX),
            hash_of_parts: hash.clone(),
            hash,
            stored_tail: None,
            sending: JoinSet::new(),
            sent: Vec::new(),
        };
        let tail_bytes = position.bytes - number * multipart.part_bytes;
        if let Some(tail) = multipart.tail.as_ref().filter(|_| tail_bytes > 0) {
            let mut bytes = storage.get_range(tail, 0..tail_bytes).await?;
            while let Some(chunk) = bytes.try_next().await? {
                appender.write(&chunk).await?;
            }
        }
        if appender.filled as u64 != tail_bytes {
            return Err(not_found(&position.key));
        }
        appender.stored_tail.clone_from(&multipart.tail);
        Ok(appender)
    }

    pub(super) async fn write(&mut self, mut chunk: &[u8]) -> Result<(), Error> {
        while !chunk.is_empty() {
            self.stored_tail = None;
            if self.filled == self.part_bytes {
                self.send().await?;
            }
            if self.reserved.is_none() {
                self.reserved = Some(self.memory.part(self.part_bytes).await);
            }
            if self.buffer.capacity() == 0 {
                self.buffer = self.memory.buffer();
            }
            let (now, later) = split_for_block(chunk, self.buffer.len());
            self.hash.update(now);
            self.buffer.extend_from_slice(now);
            self.filled += now.len();
            if self.buffer.len() == BLOCK_BYTES {
                self.end_block();
            }
            chunk = later;
        }
        Ok(())
    }

    pub(super) fn is_overdue(&self) -> bool {
        self.reserved.as_ref().is_some_and(|part| self.memory.is_overdue(part))
    }

    fn end_block(&mut self) {
        let bytes = mem::take(&mut self.buffer);
        if !bytes.is_empty() {
            self.blocks.push(match &mut self.reserved {
                Some(reserved) => reserved.block(bytes),
                None => bytes.freeze(),
            });
        }
    }

    /// Takes the bytes of the current part.
    fn take_part(&mut self) -> PutPayload {
        self.end_block();
        self.reserved = None;
        self.filled = 0;
        PutPayload::from_iter(mem::take(&mut self.blocks))
    }

    /// Sends the current part, and waits first while too many are being sent.
    async fn send(&mut self) -> Result<(), Error> {
        self.wait_for_sending(MAX_PARTS_IN_FLIGHT - 1).await?;
        self.hash_of_parts = self.hash.clone();
        let (number, payload) = (self.number, self.take_part());
        self.number += 1;
        let (bucket, key, id) = (self.bucket.clone(), self.key.clone(), self.multipart_id.clone());
        self.sending.spawn(async move {
            let part = usize::try_from(number).unwrap_or(usize::MAX);
            let sent = bucket.put_part(&key.location(), &id, part, payload).await;
            let sent = sent.map_err(|source| Error::of_store("write", key.as_str(), source))?;
            Ok((number, sent.content_id))
        });
        Ok(())
    }

    /// Waits until at most `max` parts are being sent.
    async fn wait_for_sending(&mut self, max: usize) -> Result<(), Error> {
        while self.sending.len() > max {
            let Some(sent) = self.sending.join_next().await else {
                break;
            };
            let sent = sent.unwrap_or_else(|error| {
                Err(Error::Unavailable {
                    doing: "write",
                    key: self.key.to_string(),
                    source: error.into(),
                })
            });
            self.sent.push(sent?);
        }
        Ok(())
    }

    pub(super) async fn checkpoint(&mut self, extent: Extent) -> Result<Progress, Error> {
        if self.filled == self.part_bytes || (extent == Extent::End && self.filled > 0) {
            let last = self.filled;
            self.send().await?;
            if last < self.part_bytes {
                self.wait_for_sending(0).await?;
                return Ok(self.progress(u64::from(self.number - 1) * self.part_bytes as u64 + last as u64, None));
            }
        }
        self.wait_for_sending(0).await?;
        let whole = u64::from(self.number) * self.part_bytes as u64;
        if extent == Extent::Ready || self.filled == 0 {
            return Ok(self.progress(whole, None));
        }
        let bytes = whole + self.filled as u64;
        let tail = self.put_tail().await?;
        Ok(self.progress(bytes, Some(tail)))
    }

    fn progress(&mut self, bytes: u64, tail: Option<Key>) -> Progress {
        Progress {
            bytes,
            hash_state: hash::to_text(&self.hash_of_parts),
            parts: mem::take(&mut self.sent),
            tail,
        }
    }

    /// Stores the bytes behind the last whole part as an object, if they are none already. No more bytes follow.
    async fn put_tail(&mut self) -> Result<Key, Error> {
        if let Some(tail) = self.stored_tail.take() {
            return Ok(tail);
        }
        let tail = Key::upload_tail(&self.key, Uuid::new_v4());
        let payload = self.take_part();
        let put = self.bucket.put(&tail.location(), payload).await;
        put.map_err(|source| Error::of_store("write", tail.as_str(), source))?;
        Ok(tail)
    }

    /// Waits for the parts that are being sent. The next request sends them again under the same numbers.
    pub(super) async fn roll_back(mut self) {
        while self.sending.join_next().await.is_some() {}
    }
}
