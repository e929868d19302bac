//! Errors of the storage: one variant for each case that callers handle differently.

use crate::key::Key;
use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

/// An error of reading, writing or removing a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object does not exist.
    #[error("no object at `{key}`")]
    NotFound {
        /// The requested key.
        key: String,
    },
    /// The range starts after the last byte of the object.
    #[error("byte {start} is past the end of `{key}`")]
    OutOfRange {
        /// The requested key.
        key: String,
        /// The first requested byte.
        start: u64,
    },
    /// Another request writes to the object.
    #[error("another request writes to `{key}`")]
    InUse {
        /// The key of the object.
        key: String,
    },
    /// The bucket does not make an object of the parts that a client has written to it.
    #[error("the bucket refuses the parts of `{key}`")]
    PartsRefused {
        /// The key of the object.
        key: String,
    },
    /// The disk, the quota or the bucket is full.
    #[error("no space left to write `{target}`")]
    Full {
        /// The key or the local file that was being written.
        target: String,
    },
    /// The store did not respond or returned an error. A retry may succeed.
    #[error("storage failed to {doing} `{key}`")]
    Unavailable {
        /// The failed operation: `read`, `write`, `remove`, `list` or `reach`.
        doing: &'static str,
        /// The key of the object, or a prefix.
        key: String,
        /// The cause.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A local file that is not an object, such as one in the scratch directory, could not be read or written.
    #[error("failed to use local file `{}`", path.display())]
    LocalFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The storage URL is invalid.
    #[error(
        "storage URL `{url}`: {reason}; accepted: `file:///dir` or `s3://bucket?endpoint=http://host:port&region=name`"
    )]
    InvalidUrl {
        /// The URL as given.
        url: String,
        /// The reason for the refusal.
        reason: String,
    },
}

/// An error of storing a stream. No part of the stream is kept.
#[derive(Debug, thiserror::Error)]
pub enum PutError<E> {
    /// The stream is longer than allowed.
    #[error("more than {limit_bytes} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The stream ended before its first byte.
    #[error("the stream is empty")]
    Empty,
    /// The sender took too long over a part while other uploads waited for memory.
    #[error("the sender is too slow while other uploads wait for memory")]
    TooSlow,
    /// The stream failed, as when a client disconnects.
    #[error("the sender failed: {0}")]
    Source(E),
    /// The store is full.
    #[error("no space left to store the file")]
    StorageFull,
    /// Another error of the store.
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
    /// An error of `object_store`, classified and counted.
    pub(crate) fn of_store(doing: &'static str, key: &str, source: object_store::Error) -> Self {
        let error = match source {
            object_store::Error::NotFound { .. } => Self::NotFound { key: key.to_owned() },
            source if is_store_full(&source) => Self::Full { target: key.to_owned() },
            source => Self::Unavailable {
                doing,
                key: key.to_owned(),
                source: Box::new(source),
            },
        };
        error.counted(doing)
    }

    /// An I/O error on an object in a storage directory, classified and counted.
    pub(crate) fn of_object_io(doing: &'static str, key: &Key, source: io::Error) -> Self {
        let error = match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { key: key.to_string() },
            kind if is_full(kind) => Self::Full {
                target: key.to_string(),
            },
            _ => Self::Unavailable {
                doing,
                key: key.to_string(),
                source: Box::new(source),
            },
        };
        error.counted(doing)
    }

    /// Returns `true` if a directory was missing while an object was written.
    pub(crate) fn is_missing_directory(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Unavailable { source, .. } => has_io_cause(source.as_ref(), |kind| kind == io::ErrorKind::NotFound),
            _ => false,
        }
    }

    /// Counts the error in `rushes_storage_errors_total` if the store is the cause.
    fn counted(self, operation: &'static str) -> Self {
        let reason = match self {
            Self::Full { .. } => "full",
            Self::Unavailable { .. } => "unavailable",
            Self::NotFound { .. }
            | Self::OutOfRange { .. }
            | Self::InUse { .. }
            | Self::PartsRefused { .. }
            | Self::LocalFile { .. }
            | Self::InvalidUrl { .. } => return self,
        };
        metrics::counter!("rushes_storage_errors_total", "operation" => operation, "reason" => reason).increment(1);
        self
    }

    /// An I/O error on a local file that is not an object.
    pub(crate) fn of_local_file(path: &Path, source: io::Error) -> Self {
        if is_full(source.kind()) {
            return Self::Full {
                target: path.display().to_string(),
            };
        }
        Self::LocalFile {
            path: path.to_owned(),
            source,
        }
    }
}

/// Returns `true` if an I/O error means that no space is left.
pub(crate) fn is_full(kind: io::ErrorKind) -> bool {
    // `FileTooLarge`: the limit of the process (`RLIMIT_FSIZE`, see getrlimit(2)).
    matches!(
        kind,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Returns `true` if an error or one of its causes is an `io::Error` of this kind.
fn has_io_cause(error: &(dyn StdError + 'static), is_kind: impl Fn(io::ErrorKind) -> bool) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| is_kind(error.kind()))
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Returns `true` if a bucket refuses to complete a multipart upload because of its parts: one is missing, has another
/// `ETag`, or is too small. `object_store` passes the code on only as text.
pub(crate) fn is_part_refusal(error: &object_store::Error) -> bool {
    let text = error.to_string();
    ["InvalidPart", "EntityTooSmall", "EntityTooLarge", "MalformedXML"]
        .iter()
        .any(|code| text.contains(code))
}

/// Returns `true` if a bucket has no such multipart upload. `object_store` knows that by the status 404, but servers
/// reply with others too.
pub(crate) fn is_no_such_upload(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. }) || error.to_string().contains("NoSuchUpload")
}

/// Returns `true` for a full disk, which is an `io::Error` in the chain of causes, and for a full server. Servers
/// respond with 507, `XMinioStorageFull` (`MinIO`) or `QuotaExceeded` (Ceph), which `object_store` passes on only as
/// text.
fn is_store_full(error: &object_store::Error) -> bool {
    if has_io_cause(error, is_full) {
        return true;
    }
    let text = error.to_string();
    ["507 Insufficient Storage", "XMinioStorageFull", "QuotaExceeded"]
        .iter()
        .any(|code| text.contains(code))
}
