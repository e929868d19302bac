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
//! *Buffers.* The buffers of released blocks are used again, whichever thread released them. The allocator keeps freed
//! memory for the thread that had allocated it, so new buffers would take more than the reserved memory. They are freed
//! when no upload is in progress.
//!
//! *Rejected.* Reserving block by block: many uploads could hold incomplete parts and wait for each other for ever.

use bytes::{Buf, Bytes, BytesMut};
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Size of the blocks in which data is collected and passed on.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

/// The address of each buffer is a multiple of this, as direct writes to disks need it (`open(2)`, `O_DIRECT`).
pub(crate) const ALIGNMENT: usize = 4_096;

/// Number of blocks of the whole process.
const BLOCKS: u32 = 192;

/// Memory of all blocks, 48 MiB without their alignment. With the buffers of the connections, uploads that wait for a
/// bucket take less than 64 MiB.
pub(crate) const TOTAL_BYTES: usize = BLOCKS as usize * BLOCK_BYTES;

/// Time that a client may take over a part while others wait for memory: 5 MiB at about 350 kbit/s.
const PART_TIMEOUT: Duration = Duration::from_secs(120);

/// The memory that uploads share. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    free: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    /// Empty buffers for [`BLOCK_BYTES`].
    buffers: Arc<Mutex<Vec<BytesMut>>>,
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
#[derive(Debug)]
pub(crate) struct Reserved {
    blocks: OwnedSemaphorePermit,
    buffers: Arc<Mutex<Vec<BytesMut>>>,
    since: Instant,
}

/// A block of bytes that releases its memory when the last copy is dropped.
struct Block {
    bytes: BytesMut,
    reserved: Option<OwnedSemaphorePermit>,
    buffers: Arc<Mutex<Vec<BytesMut>>>,
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Block {
    /// Keeps the buffer for the next block, unless this was the last one that was in use.
    fn drop(&mut self) {
        let Some(reserved) = self.reserved.take() else { return };
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if reserved.semaphore().available_permits() + reserved.num_permits() == BLOCKS as usize {
            buffers.clear();
            buffers.shrink_to_fit();
        } else if self.bytes.capacity() >= BLOCK_BYTES {
            let mut buffer = mem::take(&mut self.bytes);
            buffer.clear();
            buffers.push(buffer);
        }
    }
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            free: Arc::new(Semaphore::new(BLOCKS as usize)),
            waiting: Arc::default(),
            buffers: Arc::default(),
        }
    }

    /// An empty buffer for one block.
    pub(crate) fn buffer(&self) -> BytesMut {
        let kept = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| {
            let mut buffer = BytesMut::with_capacity(BLOCK_BYTES + ALIGNMENT);
            let before = buffer.as_ptr().align_offset(ALIGNMENT);
            buffer.resize(before, 0);
            buffer.advance(before);
            buffer
        })
    }

    /// Waits for memory for a part of this size. A part larger than the whole memory gets all of it.
    pub(crate) async fn part(&self, bytes: usize) -> Reserved {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK_BYTES)).unwrap_or(BLOCKS);
        let guard = WaitGuard::new(&self.waiting);
        let reserved = self.free.clone().acquire_many_owned(blocks.clamp(1, BLOCKS)).await;
        drop(guard);
        self.reserved(reserved.expect("the semaphore is never closed"))
    }

    /// Memory for one block, if it is free and no upload waits for it.
    pub(crate) fn block_now(&self) -> Option<Reserved> {
        let block = self.free.clone().try_acquire_owned().ok()?;
        Some(self.reserved(block))
    }

    fn reserved(&self, blocks: OwnedSemaphorePermit) -> Reserved {
        Reserved {
            blocks,
            buffers: self.buffers.clone(),
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
            reserved,
            buffers: self.buffers.clone(),
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
        for _ in 0..9 {
            parts.push(memory.part(PART).await);
        }
        assert!(timeout(SOON, memory.part(PART)).await.is_err(), "9 × 20 of 192 blocks");
        let mut part = parts.pop().unwrap();
        let block = part.block(BytesMut::from(&b"abc"[..]));
        let copy = block.slice(1..2);
        drop(part);
        drop(block);
        assert!(timeout(SOON, memory.part(PART + 12 * BLOCK_BYTES)).await.is_err());
        drop(copy);
        timeout(SOON, memory.part(PART + 12 * BLOCK_BYTES)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn buffers_are_used_again_and_freed_with_the_last_block() {
        let memory = Memory::new();
        let mut part = memory.part(PART).await;
        let mut block = || {
            let mut buffer = memory.buffer();
            buffer.extend_from_slice(b"abc");
            part.block(buffer)
        };
        let (first, second) = (block(), block());
        let address = first.as_ptr();
        drop(first);
        let again = memory.buffer();
        assert_eq!((again.as_ptr(), again.len()), (address, 0));
        assert!(again.capacity() >= BLOCK_BYTES);
        assert_eq!(address.align_offset(ALIGNMENT), 0);
        drop(part.block(again));
        drop(part);
        assert_eq!(memory.buffers.lock().unwrap().len(), 1);
        drop(second);
        assert_eq!(memory.buffers.lock().unwrap().len(), 0);
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
