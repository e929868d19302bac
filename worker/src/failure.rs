//! Turns errors of the system, of storage and of outputs into [`Failure`]s.
//!
//! The class of the code decides about the next attempt (`domain/src/code.rs`):
//!
//! | error | code |
//! |---|---|
//! | no file descriptors, processes or memory left, or no database ([`postponed`]) | `unavailable`, not counted |
//! | storage while an input is fetched or an output is stored ([`storage()`]) | `storage_failed`, `storage_full` |
//! | the scratch directory is full ([`io()`]) | `storage_full` |
//! | a file in the scratch directory is not an output of the plan ([`invalid_output`]) | `output_invalid` |
//! | everything else, such as a row that cannot be parsed ([`internal`]) | `internal` |
//!
//! The cause is logged here. The detail that clients see holds no path and no message of another program.

use domain::{Code, Failure};
use std::error::Error;
use std::fmt::Display;
use std::io;

/// The attempt could not start or go on: the machine or the database lacks a resource for a while.
pub(crate) fn postponed(detail: &str) -> Failure {
    Failure::new(Code::Unavailable, detail)
}

/// An unexpected error that is not the fault of the source or the recipe.
pub(crate) fn internal(error: &dyn Display) -> Failure {
    tracing::warn!(%error, "internal error");
    Failure::new(Code::Internal, "internal error")
}

/// A file in the scratch directory is not what the child reported.
pub(crate) fn invalid_output(cause: &dyn Display) -> Failure {
    tracing::warn!(%cause, "invalid output");
    let detail = "an output is not what the report says";
    Failure::new(Code::OutputInvalid, detail)
}

/// An error of the operating system, usually in the scratch directory.
pub(crate) fn io(error: &io::Error) -> Failure {
    if domain::is_exhaustion(error) {
        tracing::warn!(%error, "out of file descriptors, processes or memory");
        postponed("no file descriptors, processes or memory left")
    } else if matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    ) {
        tracing::warn!(%error, "the scratch directory is full");
        Failure::new(Code::StorageFull, "no space left in scratch")
    } else {
        internal(error)
    }
}

/// An error of storage.
pub(crate) fn storage(error: &storage::Error) -> Failure {
    tracing::warn!(%error, "storage failed");
    if is_exhausted(error) {
        return postponed("no file descriptors or memory left for storage");
    }
    let code = match error {
        storage::Error::Full { .. } => Code::StorageFull,
        storage::Error::NotFound { .. }
        | storage::Error::OutOfRange { .. }
        | storage::Error::InUse { .. }
        | storage::Error::PartsRefused { .. }
        | storage::Error::Unavailable { .. }
        | storage::Error::LocalFile { .. }
        | storage::Error::InvalidUrl { .. } => Code::StorageFailed,
    };
    Failure::new(code, "a file could not be read or stored")
}

/// True when an error or one of its sources is a lack of file descriptors, processes or memory.
fn is_exhausted(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        let io = cause.downcast_ref::<io::Error>();
        // The inner error of a custom `io::Error` is not among its sources.
        if io.is_some_and(|io| domain::is_exhaustion(io) || io.get_ref().is_some_and(|inner| is_exhausted(inner))) {
            return true;
        }
        next = cause.source();
    }
    false
}
