//! The reasons why the list of a service ends early.

use thiserror::Error;

/// An error that ends the list.
#[derive(Debug, Error)]
pub enum Error {
    /// The address of the service is none.
    #[error("{0:?} is no address; accepted: http:// or https:// and a host")]
    Address(String),
    /// The service refused the request, or did not answer after several attempts.
    #[error("{url}: {reason}")]
    Request {
        /// The URL without its query.
        url: String,
        /// The status or the error of the connection.
        reason: String,
    },
    /// The reply is not as the service documents it.
    #[error("{url}: {reason}")]
    Reply {
        /// The URL without its query.
        url: String,
        /// The part that is different.
        reason: &'static str,
    },
    /// The manifest cannot be written.
    #[error("failed to write the manifest: {0}")]
    Write(#[from] std::io::Error),
}
