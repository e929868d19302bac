//! The memory of uploads, bounded for the whole process.
//!
//! *Problem.* Parts of an S3 multipart upload have at least 5 MiB, so each upload must collect that much before it can
//! send anything. With a slow bucket, the memory would grow with the number of clients.
//!
//! *Mechanism.* Memory for a whole part is reserved before the first byte of the part is read from the client. A block
//! of the part is released when its last copy is dropped, whether it was stored or the upload failed. While no memory
//! is free, an upload waits and does not read from its client.
//!
//! *No deadlock.* An upload that waits for a part holds memory only for complete parts, which are being sent to the
//! store and need nothing else from the upload.
//!
//! *Fairness.* Waiting uploads get memory in the order of their requests, because the semaphore of Tokio is fair. A
//! client that takes longer than [`PART_TIMEOUT`] over a part while others wait is refused, so that a few slow clients
//! cannot occupy all memory.
//!
//! *Rejected.* Reserving block by block: many uploads could hold incomplete parts and wait for each other for ever.

use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Size of the blocks in which data is collected and passed on. Larger allocations are freed and made anew all the
/// time, and the allocator keeps the freed memory in the process.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

/// Number of blocks of the whole process: 64 MiB.
const BLOCKS: u32 = 256;

/// Time that a client may take over a part while others wait for memory: 5 MiB at about 350 kbit/s.
const PART_TIMEOUT: Duration = Duration::from_secs(120);

/// The memory that uploads share. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    free: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// Counts an upload as waiting until it is dropped.
struct WaitGuard<'a>(&'a AtomicUsize);

impl<'a> WaitGuard<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Memory reserved for one part.
pub(crate) struct Reserved {
    blocks: OwnedSemaphorePermit,
    since: Instant,
}

/// A block of bytes that releases its memory when the last copy is dropped.
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

    /// Waits for memory for a part of this size. A part larger than the whole memory gets all of it.
    pub(crate) async fn part(&self, bytes: usize) -> Reserved {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK_BYTES)).unwrap_or(BLOCKS);
        let guard = WaitGuard::new(&self.waiting);
        let reserved = self.free.clone().acquire_many_owned(blocks.clamp(1, BLOCKS)).await;
        drop(guard);
        Reserved {
            blocks: reserved.expect("the semaphore is never closed"),
            since: Instant::now(),
        }
    }

    /// Returns `true` if other uploads wait for memory and this part has held its memory for too long.
    pub(crate) fn is_overdue(&self, part: &Reserved) -> bool {
        part.since.elapsed() > PART_TIMEOUT && self.waiting.load(Ordering::Relaxed) > 0
    }
}

impl Reserved {
    /// Turns bytes into a block that holds its share of the memory.
    pub(crate) fn block(&mut self, bytes: BytesMut) -> Bytes {
        let reserved = self.blocks.split(1);
        Bytes::from_owner(Block {
            bytes,
            _reserved: reserved,
        })
    }

    /// Returns `true` if no memory is left for another block.
    pub(crate) fn is_used_up(&self) -> bool {
        self.blocks.num_permits() == 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic fails the test")]

    use super::*;
    use tokio::time::{advance, timeout};

    const PART: usize = 5 << 20;
    const SOON: Duration = Duration::from_millis(10);

    #[tokio::test(start_paused = true)]
    async fn the_memory_of_a_block_is_released_with_its_last_copy() {
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
        advance(PART_TIMEOUT * 2).await;
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
