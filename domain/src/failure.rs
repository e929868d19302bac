//! Failures of an attempt, and when a task is tried again.
//!
//! Every failure has a class ([`FailureKind`]). The class alone decides about a retry:
//!
//! - faults of the source or the recipe never change, so they are never tried again;
//! - infrastructure and transfer failures are tried again three times with exponential backoff;
//! - a crash or an exceeded resource limit of the child is tried again once, in case the machine was the cause;
//! - an attempt that could not start or go on for lack of resources is postponed and does not count as a failure.

use crate::code::Code;
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;

/// Minimum delay of a postponed task.
const POSTPONED_FOR: Duration = Duration::from_secs(5);

/// The class of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The source or the recipe is invalid.
    Input,
    /// The source is valid, but this installation does not support it.
    Unsupported,
    /// The database, the storage or the machine failed.
    Infrastructure,
    /// The outputs were created but could not be stored.
    Transfer,
    /// The child exceeded a limit of time or memory.
    ResourceLimit,
    /// The child crashed, violated the protocol, or produced an invalid output.
    MediaCrash,
    /// The attempt could not start or go on: the machine had no file descriptors, processes or memory left, or the
    /// database was not available.
    Postponed,
}

/// The failure of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {detail}", code.as_str())]
pub struct Failure {
    /// The class.
    pub kind: FailureKind,
    /// The error code for clients.
    pub code: Code,
    /// The rejected value or the cause, for developers. Contains no paths and no output of tools, because clients see
    /// it.
    pub detail: String,
}

impl Failure {
    /// Creates a failure.
    pub fn new(kind: FailureKind, code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            detail: detail.into(),
        }
    }

    /// Creates a failure of the class [`FailureKind::Input`].
    pub fn input(code: Code, detail: impl Into<String>) -> Self {
        Self::new(FailureKind::Input, code, detail)
    }
}

impl FailureKind {
    /// Returns the delay before the next attempt after `failures` failed ones, this one included, or `None` if the task
    /// has failed for good.
    ///
    /// `jitter` is a random number in `0..=1_000` that extends the delay by up to half of it (that of
    /// [`FailureKind::Postponed`] by up to all of it), so that tasks that failed together do not retry together.
    #[must_use]
    pub fn retry_after(self, failures: u32, jitter: u16) -> Option<Duration> {
        let retries = match self {
            Self::Postponed => return Some(POSTPONED_FOR + POSTPONED_FOR * u32::from(jitter.min(1_000)) / 1_000),
            Self::Input | Self::Unsupported => 0,
            Self::ResourceLimit | Self::MediaCrash => 1,
            Self::Infrastructure | Self::Transfer => 3,
        };
        if failures > retries {
            return None;
        }
        // 2 s, 8 s, 32 s: long enough for the restart of a service, short enough for a waiting user.
        let base_ms = 2_000_u64 << (2 * failures.saturating_sub(1).min(6));
        Some(Duration::from_millis(
            base_ms + base_ms * u64::from(jitter.min(1_000)) / 2_000,
        ))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_postponed_task_is_tried_again_after_any_number_of_failures() {
        for failures in [1, 4, 1_000] {
            let after = FailureKind::Postponed.retry_after(failures, 500).unwrap();
            assert!((5..=10).contains(&after.as_secs()), "{after:?}");
        }
    }

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

    #[test]
    fn invalid_input_is_never_tried_again() {
        assert_eq!(FailureKind::Input.retry_after(1, 0), None);
        assert_eq!(FailureKind::Unsupported.retry_after(1, 0), None);
    }

    #[test]
    fn a_crash_is_retried_once_and_an_infrastructure_failure_three_times() {
        assert!(FailureKind::MediaCrash.retry_after(1, 0).is_some());
        assert_eq!(FailureKind::MediaCrash.retry_after(2, 0), None);
        let delays: Vec<_> = (1..=4).map(|n| FailureKind::Infrastructure.retry_after(n, 0)).collect();
        let s = |n| Some(Duration::from_secs(n));
        assert_eq!(delays, [s(2), s(8), s(32), None]);
        assert_eq!(FailureKind::Infrastructure.retry_after(1, 1_000), s(3));
    }
}
