//! Files that are written in several requests, each of which begins where the one before ended.
//!
//! *Problem.* An upload is cut and continued, perhaps by another process. Bytes that a client was told to be stored
//! must be durable, bytes behind them must not count, and a request that was replaced must not write any more.
//!
//! *Mechanism.* The caller keeps a [`Position`] in the database. [`Storage::resume`] returns an [`Appender`] for the
//! bytes behind it, and [`Appender::checkpoint`] the next position, when all bytes before it are durable.
//! - In a directory the file has its final name from the beginning. It is cut to the position when it is opened, and
//!   locked (`flock`) while it is written. The kernel drops the lock of a process that was killed.
//! - In a bucket the file is a multipart upload with parts of one size. The bytes behind the last whole part, the
//!   *tail*, are an object of their own between two requests, because a part has at least 5 MiB.
//!
//! A holder that was replaced without its consent may still send a part, and the bucket keeps the last part of each
//! number. So its multipart upload is ended ([`Storage::copy_unfinished`]), and the bytes are copied to a new one.
//!
//! *Invariants.* A position contains the state of the SHA-256 of the bytes before it: in a bucket up to the last whole
//! part. So the file is hashed once, also when several processes have received it.
//!
//! The parts of a file in a bucket may also be written by the client itself ([`Storage::begin_presigned`]).
//!
//! *Rejected.* A file per request, joined at the end: it would write each byte twice. `put_part` for the tail: a part
//! that is too small fails when the upload is completed.

mod bucket;
mod directory;
mod hash;
mod position;
mod presigned;
mod whole;

pub use position::{Extent, Multipart, Position, Proceed, Progress};

use crate::error::Error;
use crate::key::Key;
use crate::storage::{Location, Storage};
use bucket::BucketAppender;
use directory::DirectoryAppender;
use position::not_found;

/// Writes bytes behind a position.
#[derive(Debug)]
pub struct Appender(Kind);

#[derive(Debug)]
enum Kind {
    Directory(DirectoryAppender),
    Bucket(BucketAppender),
}

impl Storage {
    /// Begins a file of about `expected_bytes` that several requests will write. Returns the multipart upload of a
    /// bucket.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Unavailable`].
    pub async fn begin(&self, key: &Key, expected_bytes: u64) -> Result<Option<Multipart>, Error> {
        match self.location.as_ref() {
            Location::Directory(root) => directory::create(key, root).await.map(|()| None),
            Location::Bucket(bucket) => {
                let part_bytes = self.part_bytes(expected_bytes) as u64;
                bucket::begin(bucket, key, part_bytes).await.map(Some)
            }
        }
    }

    /// Opens a file for the bytes behind a position.
    ///
    /// # Errors
    /// [`Error::InUse`] if an appender of another request does not end; [`Error::NotFound`] if the file is gone;
    /// [`Error::Unavailable`].
    pub async fn resume(&self, position: &Position) -> Result<Appender, Error> {
        let kind = match (self.location.as_ref(), &position.multipart) {
            (Location::Directory(root), _) => {
                Kind::Directory(DirectoryAppender::open(position, root, self.memory.clone()).await?)
            }
            (Location::Bucket(bucket), Some(multipart)) => {
                let appender = BucketAppender::open(self, bucket.clone(), position, multipart);
                Kind::Bucket(appender.await?)
            }
            // The storage was changed from a directory to a bucket.
            (Location::Bucket(_), None) => return Err(not_found(&position.key)),
        };
        Ok(Appender(kind))
    }
}

impl Appender {
    /// Writes bytes. They are durable after the next checkpoint.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Unavailable`]. The caller must not write any more then.
    pub async fn write(&mut self, chunk: &[u8]) -> Result<(), Error> {
        match &mut self.0 {
            Kind::Directory(appender) => appender.write(chunk).await,
            Kind::Bucket(appender) => appender.write(chunk).await,
        }
    }

    /// Begins to write the whole blocks that wait for those before, so that they do not hold memory while their client
    /// pauses. A checkpoint does so as well.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Unavailable`]. The caller must not write any more then.
    pub async fn pass_on(&mut self) -> Result<(), Error> {
        match &mut self.0 {
            Kind::Directory(appender) => appender.pass_on().await,
            // A part is sent when it is complete.
            Kind::Bucket(_) => Ok(()),
        }
    }

    /// Returns `true` if other uploads wait for memory and this one has held its memory for too long.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        match &self.0 {
            Kind::Directory(appender) => appender.is_overdue(),
            Kind::Bucket(appender) => appender.is_overdue(),
        }
    }

    /// Makes bytes durable and returns the new position.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Unavailable`]. The caller must not write any more then.
    pub async fn checkpoint(&mut self, extent: Extent) -> Result<Progress, Error> {
        match &mut self.0 {
            Kind::Directory(appender) => appender.checkpoint(extent).await,
            Kind::Bucket(appender) => appender.checkpoint(extent).await,
        }
    }

    /// Removes the bytes behind the last checkpoint as far as possible. They do not count in any case.
    pub async fn roll_back(self) {
        match self.0 {
            Kind::Directory(appender) => appender.roll_back().await,
            Kind::Bucket(appender) => appender.roll_back().await,
        }
    }
}
