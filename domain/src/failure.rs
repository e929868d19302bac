//! The failure of an attempt.

use crate::code::Code;
use crate::failure_class::FailureClass;
use serde::{Deserialize, Serialize};
use std::io;

/// The failure of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {detail}", code.as_str())]
pub struct Failure {
    /// The error code for clients. Its class decides about a retry.
    pub code: Code,
    /// The rejected value or the cause, for developers. Contains no paths and no output of tools, because clients see
    /// it.
    pub detail: String,
}

impl Failure {
    /// Creates a failure.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }

    /// Returns the class. A code without one is a fault of this program, as [`Code::Internal`] is.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        self.code.class().unwrap_or(FailureClass::Infrastructure)
    }
}

/// Returns `true` if the error means that file descriptors, processes or memory are exhausted: `ENOMEM`, `ENFILE`,
/// `EMFILE`, and `EAGAIN`, which `fork` and `pthread_create` return.
#[must_use]
pub fn is_exhaustion(error: &io::Error) -> bool {
    const ENOMEM: i32 = 12;
    const EAGAIN: i32 = 11;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENOMEM | EAGAIN | ENFILE | EMFILE))
}

/// Returns `true` if a message on standard error names a failed allocation, in the words of Rust, C++, FFmpeg or x264.
/// Codecs without memory may go on as if the source were damaged, so their results do not show it.
#[must_use]
pub fn is_failed_allocation(message: &str) -> bool {
    const WORDS: [&str; 6] = [
        "memory allocation of",
        "bad_alloc",
        "malloc of size",
        "annot allocate memory",
        "ould not allocate memory",
        "out of memory",
    ];
    WORDS.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exhaustion_is_distinguished_from_other_system_errors() {
        for errno in [11, 12, 23, 24] {
            assert!(is_exhaustion(&io::Error::from_raw_os_error(errno)), "{errno}");
        }
        for errno in [2, 5, 13, 28] {
            assert!(!is_exhaustion(&io::Error::from_raw_os_error(errno)), "{errno}");
        }
        assert!(!is_exhaustion(&io::Error::other("x")));
    }
}
