//! What can go wrong with stored files, as few kinds as a caller can act upon.

use crate::key::Key;
use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

/// Why a file could not be read, written or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object.
    #[error("no object at `{key}`")]
    NotFound {
        /// The key asked for.
        key: String,
    },
    /// The range starts behind the end of the object.
    #[error("byte {start} lies behind the end of `{key}`")]
    OutOfRange {
        /// The key asked for.
        key: String,
        /// The first byte asked for.
        start: u64,
    },
    /// The disk, the quota or the bucket is full; it helps to make room.
    #[error("no space left to write `{place}`")]
    Full {
        /// The key or the local file that was being written.
        place: String,
    },
    /// The store did not answer, or not well; it may help to try again.
    #[error("storage failed to {doing} `{key}`")]
    Unavailable {
        /// The verb: `read`, `write`, `remove`, `reach`.
        doing: &'static str,
        /// The key it was done to.
        key: String,
        /// What the store said.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A local file beside the store (scratch, never an object) could not be read or written.
    #[error("failed to use local file `{}`", path.display())]
    LocalFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The storage URL cannot be used.
    #[error(
        "storage URL `{url}`: {reason}; accepted: `file:///dir` or `s3://bucket?endpoint=http://host:port&region=name`"
    )]
    BadUrl {
        /// The URL as given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a stream was not stored; nothing of it stays behind.
#[derive(Debug, thiserror::Error)]
pub enum PutError<E> {
    /// More bytes came than are allowed.
    #[error("more than {limit_bytes} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The stream ended before its first byte.
    #[error("no bytes at all")]
    Empty,
    /// The sender took too long over a part while others waited for its memory.
    #[error("the sender is too slow while others wait")]
    TooSlow,
    /// The sender failed, as when a client went away.
    #[error("the sender failed: {0}")]
    Source(E),
    /// The store has no room.
    #[error("no space left to store the file")]
    StorageFull,
    /// The store failed otherwise.
    #[error(transparent)]
    Storage(Error),
}

impl<E> From<Error> for PutError<E> {
    fn from(error: Error) -> Self {
        match error {
            Error::Full { .. } => Self::StorageFull,
            other => Self::Storage(other),
        }
    }
}

impl Error {
    pub(crate) fn of_store(doing: &'static str, key: &str, source: object_store::Error) -> Self {
        let error = match source {
            object_store::Error::NotFound { .. } => Self::NotFound { key: key.to_owned() },
            source if tells_full(&source) => Self::Full { place: key.to_owned() },
            source => Self::Unavailable {
                doing,
                key: key.to_owned(),
                source: Box::new(source),
            },
        };
        error.counted(doing)
    }

    /// An I/O error on an object in a local directory.
    pub(crate) fn of_object_io(doing: &'static str, key: &Key, source: io::Error) -> Self {
        let error = match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { key: key.to_string() },
            kind if is_full(kind) => Self::Full { place: key.to_string() },
            _ => Self::Unavailable {
                doing,
                key: key.to_string(),
                source: Box::new(source),
            },
        };
        error.counted(doing)
    }

    /// This error, counted where the store is at fault.
    fn counted(self, operation: &'static str) -> Self {
        let reason = match self {
            Self::Full { .. } => "full",
            Self::Unavailable { .. } => "unavailable",
            Self::NotFound { .. } | Self::OutOfRange { .. } | Self::LocalFile { .. } | Self::BadUrl { .. } => {
                return self;
            }
        };
        metrics::counter!("rushes_storage_errors_total", "operation" => operation, "reason" => reason).increment(1);
        self
    }

    /// An I/O error on a file that is no object.
    pub(crate) fn of_local_file(path: &Path, source: io::Error) -> Self {
        if is_full(source.kind()) {
            return Self::Full {
                place: path.display().to_string(),
            };
        }
        Self::LocalFile {
            path: path.to_owned(),
            source,
        }
    }
}

fn is_full(kind: io::ErrorKind) -> bool {
    // The last one is a limit of the process (`ulimit -f`), see `SIGXFSZ` in getrlimit(2).
    matches!(
        kind,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Whether the cause is a full disk (an `io::Error` somewhere below) or a full server, which answers
/// 507 or one of the S3 codes that `MinIO` and Ceph know; the client library keeps those as text only.
fn tells_full(error: &object_store::Error) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| is_full(error.kind()))
        {
            return true;
        }
        cause = error.source();
    }
    let text = error.to_string();
    ["507 Insufficient Storage", "XMinioStorageFull", "QuotaExceeded"]
        .iter()
        .any(|sign| text.contains(sign))
}
