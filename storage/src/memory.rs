//! Memory of what is being uploaded, bounded for the whole process.
//!
//! A bucket takes parts of 5 MiB and more, so each upload has to collect that much before it can pass anything on. With
//! a slow bucket and many uploads the sum would grow with the number of clients. So memory for a whole part is reserved
//! before the first byte of the part is taken from the client, and each block of it is given back when the last copy of
//! the block is dropped: stored, failed or given up. While there is none, an upload waits and its client is not read.
//!
//! *No deadlock*: an upload that waits for a part holds only parts that are complete and on their way to the store. They
//! need nothing from it. Reserving block by block would let many uploads hold halves of parts for ever.
//!
//! *Fairness*: those that wait are served in the order in which they came (the semaphore of Tokio), part by part. A
//! client that takes longer than [`PART_WITHIN`] to send a part while others wait for memory is cut off, so that a dozen
//! clients that send a byte at a time do not stop the rest.

use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// What is copied together before it is handed on. Larger pieces of memory would come and go, and what is free of them
/// stays with the process.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

/// All blocks of the process: 64 MiB.
const BLOCKS: u32 = 256;

/// How long a part may take to come while others wait for its memory: 5 MiB at about 350 kbit/s.
const PART_WITHIN: Duration = Duration::from_secs(120);

/// The memory that uploads share. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    free: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// Counts an upload among those that wait, for as long as it lives.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn among(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Memory reserved for one part.
pub(crate) struct Reserved {
    blocks: OwnedSemaphorePermit,
    since: Instant,
}

/// A block that gives its memory back when the last copy is gone.
struct Block {
    bytes: BytesMut,
    _reserved: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            free: Arc::new(Semaphore::new(BLOCKS as usize)),
            waiting: Arc::default(),
        }
    }

    /// Memory for a part of so many bytes, but never more than there is in all.
    pub(crate) async fn part(&self, bytes: usize) -> Reserved {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK_BYTES)).unwrap_or(BLOCKS);
        let waits = Waits::among(&self.waiting);
        let reserved = self.free.clone().acquire_many_owned(blocks.clamp(1, BLOCKS)).await;
        drop(waits);
        Reserved {
            blocks: reserved.expect("the semaphore is never closed"),
            since: Instant::now(),
        }
    }

    /// Whether others wait for memory that this part has kept for too long.
    pub(crate) fn is_overdue(&self, part: &Reserved) -> bool {
        part.since.elapsed() > PART_WITHIN && self.waiting.load(Ordering::Relaxed) > 0
    }
}

impl Reserved {
    /// The bytes as one block of this part.
    pub(crate) fn block(&mut self, bytes: BytesMut) -> Bytes {
        let reserved = self.blocks.split(1);
        Bytes::from_owner(Block {
            bytes,
            _reserved: reserved,
        })
    }

    /// Whether there is no memory left for another block.
    pub(crate) fn is_used_up(&self) -> bool {
        self.blocks.num_permits() == 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;
    use tokio::time::{advance, timeout};

    const PART: usize = 5 << 20;
    const SOON: Duration = Duration::from_millis(10);

    #[tokio::test(start_paused = true)]
    async fn memory_comes_back_with_the_last_copy_of_a_block_and_no_earlier() {
        let memory = Memory::new();
        let mut parts = Vec::new();
        for _ in 0..12 {
            parts.push(memory.part(PART).await);
        }
        assert!(timeout(SOON, memory.part(PART)).await.is_err(), "12 × 20 of 256 blocks");
        let mut part = parts.pop().unwrap();
        let block = part.block(BytesMut::from(&b"abc"[..]));
        let copy = block.slice(1..2);
        drop(part);
        drop(block);
        assert!(timeout(SOON, memory.part(PART + 16 * BLOCK_BYTES)).await.is_err());
        drop(copy);
        timeout(SOON, memory.part(PART + 16 * BLOCK_BYTES)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_is_overdue_only_while_others_wait() {
        let memory = Memory::new();
        let all = memory.part(64 << 20).await;
        advance(PART_WITHIN * 2).await;
        assert!(!memory.is_overdue(&all));
        let waiting = tokio::spawn({
            let memory = memory.clone();
            async move { drop(memory.part(PART).await) }
        });
        tokio::task::yield_now().await;
        assert!(memory.is_overdue(&all));
        drop(all);
        waiting.await.unwrap();
        let again = memory.part(PART).await;
        assert!(!memory.is_overdue(&again));
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_larger_than_all_memory_gets_all_of_it() {
        let memory = Memory::new();
        let part = memory.part(usize::MAX).await;
        assert!(!part.is_used_up());
    }
}
