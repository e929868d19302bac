//! Constructors of the failures that a session reports before and between calls of the engine.

use domain::{Code, Failure};

/// Wraps an operating-system error of opening or reading a file. A lack of descriptors or memory is a problem of the
/// machine and not of the task, so the task is postponed.
pub(super) fn from_io_error(error: &std::io::Error, message: &str) -> Failure {
    let detail = format!("{message}: {}", error.kind());
    if domain::is_exhaustion(error) {
        Failure::new(Code::Unavailable, detail)
    } else {
        storage(detail)
    }
}

pub(super) fn storage(detail: impl Into<String>) -> Failure {
    Failure::new(Code::StorageFailed, detail)
}
