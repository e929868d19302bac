//! Unfinished files in a directory.
//!
//! Bytes are written while the next ones arrive, and are synced to disk while the ones after them are written: a
//! checkpoint on the way begins a sync and returns what the sync before it made durable. So neither the network nor the
//! disk waits for the other.
//!
//! Whole blocks are written past the page cache (`open(2)`, `O_DIRECT`): copying them there would take longer than
//! receiving them, and displace files that are in use. One thread writes and another one hashes. Blocks that arrive
//! while these work wait, and are passed on together, because handing over each one would cost as much as the work.
//!
//! *No deadlock.* Blocks wait only for blocks of the same upload that are being written. An upload without memory for
//! its next block passes them on first, so it waits with no memory but that of blocks that are being written.

mod output;

use super::hash;
use super::position::{Extent, Position, Proceed, Progress, in_use, not_found, split_for_block};
use crate::error::Error;
use crate::key::Key;
use crate::memory::{BLOCK_BYTES, Memory, Reserved};
use bytes::{Bytes, BytesMut};
use output::Output;
use sha2::{Digest, Sha256};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep};

/// Time to wait for the lock of another appender, which has been told to end.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// Number of blocks that wait for the ones before at most.
const WAITING_BLOCKS: usize = 4;
/// Bytes of a piece of a copy.
const COPY_BYTES: u64 = 32 << 20;

/// Writes bytes behind a position: some blocks on threads for blocking work, while the next ones are filled.
#[derive(Debug)]
pub(super) struct DirectoryAppender {
    key: Key,
    target: Option<Target>,
    running: Option<Running>,
    /// The sync that the last checkpoint began, and what is durable after it.
    syncing: Option<(Progress, JoinHandle<io::Result<()>>)>,
    durable: Progress,
    memory: Memory,
    reserved: Option<Reserved>,
    buffer: BytesMut,
    /// Blocks that are passed on together.
    waiting: Vec<Bytes>,
    bytes: u64,
}

/// The locked file and the hash of the bytes in it.
#[derive(Debug)]
struct Target {
    output: Output,
    hash: Sha256,
}

/// Blocks that are written on one thread and hashed on another.
#[derive(Debug)]
struct Running {
    write: JoinHandle<(Output, io::Result<()>)>,
    hash: JoinHandle<Sha256>,
}

/// Creates an empty file whose name is durable.
pub(super) async fn create(key: &Key, root: &Path) -> Result<(), Error> {
    let (path, root) = (root.join(key.as_str()), root.to_owned());
    blocking(key, "write", move || {
        let directory = path.parent().unwrap_or(&root);
        std::fs::create_dir_all(directory)?;
        File::options().write(true).create_new(true).open(&path)?.sync_all()?;
        let parents = path.ancestors().skip(1).take_while(|parent| parent.starts_with(&root));
        parents.map(File::open).try_for_each(|directory| directory?.sync_all())
    })
    .await
}

/// Copies the first bytes of an unfinished file to a new one, whose name is durable then.
pub(super) async fn copy(from: &Position, to: &Key, root: &Path, proceed: &Proceed) -> Result<(), Error> {
    create(to, root).await?;
    let paths: [PathBuf; 2] = [&from.key, to].map(|key| root.join(key.as_str()));
    let (bytes, proceed) = (from.bytes, proceed.clone());
    let is_whole = blocking(to, "write", move || {
        let [from, to] = paths.map(|path| File::options().read(true).write(true).open(path));
        let (mut from, mut to, mut left) = (from?, to?, bytes);
        while left > 0 {
            let piece = left.min(COPY_BYTES);
            let copied = io::copy(&mut io::Read::take(&mut from, piece), &mut to)?;
            to.sync_data()?;
            if copied < piece {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if !proceed() {
                return Ok(false);
            }
            left -= piece;
        }
        to.sync_all().map(|()| true)
    });
    is_whole.await?.then_some(()).ok_or_else(|| in_use(to))
}

/// Runs work on a file on a thread for blocking work.
async fn blocking<T: Send + 'static>(
    key: &Key,
    doing: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done = spawn_blocking(work).await.map_err(io::Error::from);
    done.flatten().map_err(|source| Error::of_object_io(doing, key, source))
}

/// Opens and locks a file, and removes the bytes behind the position. `None` while another appender has the lock.
fn open(path: &Path, bytes: u64) -> io::Result<Option<Output>> {
    let file = File::options().write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        // A file system without locks: the lease in the database has to do.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    if file.metadata()?.len() < bytes {
        return Err(io::ErrorKind::NotFound.into());
    }
    file.set_len(bytes)?;
    Ok(Some(Output::new(file, bytes)))
}

/// Opens and locks a file, and waits for the end of another appender.
async fn open_when_free(position: &Position, root: &Path) -> Result<Output, Error> {
    let (key, begun) = (&position.key, Instant::now());
    loop {
        let (path, bytes) = (root.join(key.as_str()), position.bytes);
        if let Some(output) = blocking(key, "write", move || open(&path, bytes)).await? {
            return Ok(output);
        }
        if begun.elapsed() > LOCK_TIMEOUT {
            return Err(Error::InUse { key: key.to_string() });
        }
        sleep(LOCK_PAUSE).await;
    }
}

impl DirectoryAppender {
    pub(super) async fn open(position: &Position, root: &Path, memory: Memory) -> Result<Self, Error> {
        let (key, bytes) = (position.key.clone(), position.bytes);
        let hash = hash::from_text(position.hash_state.as_deref(), &key)?;
        let output = open_when_free(position, root).await?;
        Ok(Self {
            key,
            durable: Progress {
                bytes,
                hash_state: hash::to_text(&hash),
                ..Progress::default()
            },
            target: Some(Target { output, hash }),
            running: None,
            syncing: None,
            memory,
            reserved: None,
            buffer: BytesMut::new(),
            waiting: Vec::new(),
            bytes,
        })
    }

    pub(super) async fn write(&mut self, mut chunk: &[u8]) -> Result<(), Error> {
        while !chunk.is_empty() {
            // A block ends at a multiple of its size, wherever the bytes before it ended.
            if self.bytes.is_multiple_of(BLOCK_BYTES as u64) && !self.buffer.is_empty() {
                self.end_block();
                if self.waiting.len() == WAITING_BLOCKS || self.is_idle() {
                    self.pass_on().await?;
                }
            }
            if self.reserved.is_none() {
                self.reserved = Some(self.memory_for_block().await?);
                self.buffer = self.memory.buffer();
            }
            let filled = usize::try_from(self.bytes % BLOCK_BYTES as u64).expect("less than a block");
            let (now, later) = split_for_block(chunk, filled);
            self.buffer.extend_from_slice(now);
            self.bytes += now.len() as u64;
            chunk = later;
        }
        Ok(())
    }

    async fn memory_for_block(&mut self) -> Result<Reserved, Error> {
        if let Some(reserved) = self.memory.block_now() {
            return Ok(reserved);
        }
        self.pass_on().await?;
        Ok(self.memory.part(BLOCK_BYTES).await)
    }

    pub(super) fn is_overdue(&self) -> bool {
        self.reserved.as_ref().is_some_and(|part| self.memory.is_overdue(part))
    }

    /// Gives the waiting blocks to threads that write and hash them, after those before.
    pub(super) async fn pass_on(&mut self) -> Result<(), Error> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let Target { mut output, mut hash } = self.idle().await?;
        let blocks = std::mem::take(&mut self.waiting);
        let copies = blocks.clone();
        self.running = Some(Running {
            write: spawn_blocking(move || {
                let written = copies.iter().try_for_each(|block| output.write(block));
                (output, written)
            }),
            hash: spawn_blocking(move || {
                blocks.iter().for_each(|block| hash.update(block));
                hash
            }),
        });
        Ok(())
    }

    /// Adds the collected bytes to the waiting blocks.
    fn end_block(&mut self) {
        let bytes = std::mem::take(&mut self.buffer);
        if let Some(mut reserved) = self.reserved.take() {
            self.waiting.push(reserved.block(bytes));
        }
    }

    /// Returns `true` if no blocks are being written and hashed.
    fn is_idle(&self) -> bool {
        let is_done = |running: &Running| running.write.is_finished() && running.hash.is_finished();
        self.running.as_ref().is_none_or(is_done)
    }

    /// Waits until the blocks before are written and hashed.
    async fn idle(&mut self) -> Result<Target, Error> {
        if let Some(target) = self.target.take() {
            return Ok(target);
        }
        let running = self.running.take().ok_or_else(|| not_found(&self.key))?;
        let failed = |source| Error::of_object_io("write", &self.key, source);
        let (written, hash) = tokio::join!(running.write, running.hash);
        let (output, written) = written.map_err(|error| failed(error.into()))?;
        let hash = hash.map_err(|error| failed(error.into()))?;
        let target = Target { output, hash };
        if let Err(source) = written {
            self.target = Some(target);
            return Err(failed(source));
        }
        Ok(target)
    }

    /// Begins to sync all bytes to disk. Returns what is durable: for [`Extent::Ready`] the bytes of the sync before,
    /// otherwise all.
    pub(super) async fn checkpoint(&mut self, extent: Extent) -> Result<Progress, Error> {
        self.end_sync().await?;
        self.begin_sync().await?;
        if extent != Extent::Ready {
            self.end_sync().await?;
        }
        Ok(self.durable.clone())
    }

    /// Writes the collected bytes and starts a sync of the file.
    async fn begin_sync(&mut self) -> Result<(), Error> {
        self.end_block();
        self.pass_on().await?;
        let target = self.idle().await?;
        let progress = Progress {
            bytes: self.bytes,
            hash_state: hash::to_text(&target.hash),
            ..Progress::default()
        };
        let file = target.output.file().try_clone();
        self.target = Some(target);
        let file = file.map_err(|source| Error::of_object_io("write", &self.key, source))?;
        self.syncing = Some((progress, spawn_blocking(move || file.sync_data())));
        Ok(())
    }

    /// Waits for the sync in progress.
    async fn end_sync(&mut self) -> Result<(), Error> {
        if let Some((progress, sync)) = self.syncing.take() {
            let synced = sync.await.map_err(io::Error::from).flatten();
            synced.map_err(|source| Error::of_object_io("write", &self.key, source))?;
            self.durable = progress;
        }
        Ok(())
    }

    /// Cuts the file to the last checkpoint, which also gives a full disk its space back.
    pub(super) async fn roll_back(mut self) {
        self.buffer.clear();
        self.waiting.clear();
        let _ = self.end_sync().await;
        let bytes = self.durable.bytes;
        let target = match self.idle().await {
            Ok(target) => Some(target),
            Err(_) => self.target.take(),
        };
        if let Some(target) = target {
            let cut = spawn_blocking(move || target.output.file().set_len(bytes));
            if !matches!(cut.await, Ok(Ok(()))) {
                tracing::warn!(key = %self.key, "failed to cut an unfinished file; its next request does");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic fails the test")]

    use super::*;
    use crate::memory::TOTAL_BYTES;
    use tokio::time::timeout;
    use uuid::Uuid;

    #[tokio::test]
    async fn a_block_that_waits_for_the_one_before_does_not_keep_the_memory_for_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let (root, key, memory) = (directory.path(), Key::source(Uuid::nil()), Memory::new());
        create(&key, root).await.unwrap();
        let position = Position {
            key,
            bytes: 0,
            hash_state: None,
            multipart: None,
        };
        let mut appender = DirectoryAppender::open(&position, root, memory.clone()).await.unwrap();
        appender.write(&[1; BLOCK_BYTES]).await.unwrap();
        appender.end_block();
        let _others = memory.part(TOTAL_BYTES - BLOCK_BYTES).await;
        let written = timeout(Duration::from_secs(30), appender.write(&[2])).await;
        written.expect("memory becomes free").unwrap();
        let progress = appender.checkpoint(Extent::Everything).await.unwrap();
        assert_eq!(progress.bytes, BLOCK_BYTES as u64 + 1);
    }
}
