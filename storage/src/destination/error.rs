//! Errors of writing to a destination.

use std::io;

/// The reason why a file is not at its destination. The texts are for the owner of the bucket.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// The address may not be reached.
    #[error("the address of the host is not public")]
    Forbidden,
    /// No reply, or one of a server that is not able to reply now.
    #[error("{0}")]
    Unreachable(String),
    /// The server does not accept the bucket, the credential or the file.
    #[error("{0}")]
    Refused(String),
    /// The object has other bytes than the file.
    #[error("{0}")]
    Mismatch(String),
    /// The file on this machine cannot be read.
    #[error("a local file cannot be read")]
    LocalFile(#[source] io::Error),
}

impl From<io::Error> for DestinationError {
    fn from(error: io::Error) -> Self {
        Self::LocalFile(error)
    }
}
