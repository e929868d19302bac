//! Unfinished files in a directory.
//!
//! Bytes are written while the next ones arrive, and are synced to disk while the ones after them are written: a
//! checkpoint on the way begins a sync and returns what the sync before it made durable. So neither the network nor the
//! disk waits for the other.

use super::hash;
use super::position::{Extent, Position, Proceed, Progress, in_use, not_found, split_for_block};
use crate::error::Error;
use crate::key::Key;
use crate::memory::{ALIGNMENT, BLOCK_BYTES, Memory, Reserved};
use bytes::{Bytes, BytesMut};
use nix::sys::statvfs::fstatvfs;
use sha2::{Digest, Sha256};
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep};

/// Time to wait for the lock of another appender, which has been told to end.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// Space of the file system that unfinished files leave free: this part of it, and at most this many bytes.
const RESERVE_PART: u64 = 16;
const RESERVE_BYTES: u64 = 16 << 20;
/// Bytes of a piece of a copy.
const COPY_BYTES: u64 = 32 << 20;

/// Writes bytes behind a position: one block on a thread for blocking work, while the next one is filled.
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
    bytes: u64,
}

/// The locked file and the hash of the bytes in it.
#[derive(Debug)]
struct Target {
    output: Output,
    hash: Sha256,
}

/// A block that is written on one thread and hashed on another.
#[derive(Debug)]
struct Running {
    write: JoinHandle<(Output, io::Result<()>)>,
    hash: JoinHandle<Sha256>,
}

/// The locked file, and where its next block goes.
#[derive(Debug)]
struct Output {
    file: File,
    /// The same file without the page cache. `None` if its file system has no such access.
    direct: Option<File>,
    at: u64,
}

impl Output {
    fn write(&mut self, block: &[u8]) -> io::Result<()> {
        check_free_space(&self.file)?;
        if !self.write_directly(block)? {
            self.file.write_all_at(block, self.at)?;
        }
        self.at += block.len() as u64;
        Ok(())
    }

    /// Writes a block from its memory to the disk. Returns `false` if that is not possible: the position, the length
    /// and the address of such blocks are multiples of [`ALIGNMENT`].
    fn write_directly(&mut self, block: &[u8]) -> io::Result<bool> {
        let is_aligned = self.at.is_multiple_of(ALIGNMENT as u64)
            && block.len().is_multiple_of(ALIGNMENT)
            && block.as_ptr().align_offset(ALIGNMENT) == 0;
        let Some(direct) = self.direct.as_ref().filter(|_| is_aligned) else {
            return Ok(false);
        };
        match direct.write_all_at(block, self.at) {
            Ok(()) => Ok(true),
            // The disk has larger sectors.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.direct = None;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// Refuses more bytes when the file system has hardly any space left. Unfinished files stay on a full disk, and a
/// request that removes one needs space for rows in the database, which is on the same disk in a small setup.
fn check_free_space(file: &File) -> io::Result<()> {
    let disk = fstatvfs(file)?;
    // Numbers of blocks of one size.
    let (free, total) = (disk.blocks_available(), disk.blocks());
    let reserve = (total / RESERVE_PART).min(RESERVE_BYTES / disk.fragment_size().max(1));
    if free < reserve {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
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
    let direct = File::options().write(true).custom_flags(libc::O_DIRECT).open(path);
    Ok(Some(Output {
        file,
        direct: direct.ok(),
        at: bytes,
    }))
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
            bytes,
        })
    }

    pub(super) async fn write(&mut self, mut chunk: &[u8]) -> Result<(), Error> {
        while !chunk.is_empty() {
            // A block ends at a multiple of its size, wherever the bytes before it ended.
            if self.bytes.is_multiple_of(BLOCK_BYTES as u64) && !self.buffer.is_empty() {
                self.pass_on().await?;
            }
            if self.reserved.is_none() {
                self.reserved = Some(self.memory.part(BLOCK_BYTES).await);
                self.buffer = self.memory.buffer();
            }
            let (now, later) = split_for_block(chunk, (self.bytes % BLOCK_BYTES as u64) as usize);
            self.buffer.extend_from_slice(now);
            self.bytes += now.len() as u64;
            chunk = later;
        }
        Ok(())
    }

    pub(super) fn is_overdue(&self) -> bool {
        self.reserved.as_ref().is_some_and(|part| self.memory.is_overdue(part))
    }

    /// Gives the collected bytes to threads that write and hash them, after the block before.
    async fn pass_on(&mut self) -> Result<(), Error> {
        let block = self.block();
        let Target { mut output, mut hash } = self.idle().await?;
        let copy = block.clone();
        self.running = Some(Running {
            write: spawn_blocking(move || {
                let written = output.write(&copy);
                (output, written)
            }),
            hash: spawn_blocking(move || {
                hash.update(&block);
                hash
            }),
        });
        Ok(())
    }

    /// Takes the collected bytes as a block.
    fn block(&mut self) -> Bytes {
        let bytes = std::mem::take(&mut self.buffer);
        match self.reserved.take() {
            Some(mut reserved) => reserved.block(bytes),
            None => bytes.freeze(),
        }
    }

    /// Waits until the block before is written.
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
        self.pass_on().await?;
        let target = self.idle().await?;
        let progress = Progress {
            bytes: self.bytes,
            hash_state: hash::to_text(&target.hash),
            ..Progress::default()
        };
        let file = target.output.file.try_clone();
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
        let _ = self.end_sync().await;
        let bytes = self.durable.bytes;
        let target = match self.idle().await {
            Ok(target) => Some(target),
            Err(_) => self.target.take(),
        };
        if let Some(target) = target {
            let cut = spawn_blocking(move || target.output.file.set_len(bytes));
            if !matches!(cut.await, Ok(Ok(()))) {
                tracing::warn!(key = %self.key, "failed to cut an unfinished file; its next request does");
            }
        }
    }
}
