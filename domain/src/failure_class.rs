//! Failure classes, and when a task is tried again.
//!
//! Every code with which a task can fail has a class, a column of the table in `code.rs`. The class alone decides about
//! a retry:
//!
//! - faults of the source or the recipe never change, so they are never tried again;
//! - failures of the infrastructure are tried again three times with exponential backoff;
//! - a crash or an exceeded resource limit of the child is tried again once, in case the machine was the cause;
//! - a task whose worker died is tried again twice, because it may be the cause;
//! - an attempt that could not start or go on for lack of resources is postponed and does not count as a failure.

use std::time::Duration;

/// Minimum delay of a postponed task.
const POSTPONED_FOR: Duration = Duration::from_secs(5);

/// The class of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// The source or the recipe is invalid.
    Input,
    /// The source is valid, but this installation does not support it.
    Unsupported,
    /// The database, the storage or the machine failed, or this program has a fault.
    Infrastructure,
    /// The child exceeded a limit of time, memory or file size.
    ResourceLimit,
    /// The child crashed, violated the protocol, or produced an invalid output.
    MediaCrash,
    /// The worker died. The sweeper finds it by the lease that has expired.
    WorkerCrash,
    /// The attempt could not start or go on: the machine had no file descriptors, processes or memory left, or the
    /// database was not available.
    Postponed,
}

impl FailureClass {
    /// Returns the maximum number of failed attempts, of all classes together, with which a task is tried again after a
    /// failure of this class; `None` if there is no limit.
    #[must_use]
    pub const fn max_retries(self) -> Option<u32> {
        match self {
            Self::Input | Self::Unsupported => Some(0),
            Self::ResourceLimit | Self::MediaCrash => Some(1),
            Self::WorkerCrash => Some(2),
            Self::Infrastructure => Some(3),
            Self::Postponed => None,
        }
    }

    /// Returns `true` if another attempt at the same source and recipe can succeed.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        !matches!(self.max_retries(), Some(0))
    }

    /// Returns the delay before the next attempt after `failures` failed ones, this one included, or `None` if the task
    /// has failed for good.
    ///
    /// `jitter` is a random number in `0..=1_000` that extends the delay by up to half of it (that of
    /// [`FailureClass::Postponed`] by up to all of it), so that tasks that failed together do not retry together.
    #[must_use]
    pub fn retry_after(self, failures: u32, jitter: u16) -> Option<Duration> {
        let jitter = jitter.min(1_000);
        let Some(retries) = self.max_retries() else {
            return Some(POSTPONED_FOR + POSTPONED_FOR * u32::from(jitter) / 1_000);
        };
        if failures > retries {
            return None;
        }
        // 2 s, 8 s, 32 s: long enough for the restart of a service, short enough for a waiting user.
        let base_ms = 2_000_u64 << (2 * failures.saturating_sub(1).min(6));
        Some(Duration::from_millis(base_ms + base_ms * u64::from(jitter) / 2_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_postponed_task_is_tried_again_after_any_number_of_failures() {
        for failures in [1, 4, 1_000] {
            let after = FailureClass::Postponed.retry_after(failures, 500).unwrap();
            assert!((5..=10).contains(&after.as_secs()), "{after:?}");
        }
    }

    #[test]
    fn invalid_input_is_never_tried_again() {
        for class in [FailureClass::Input, FailureClass::Unsupported] {
            assert_eq!((class.retry_after(1, 0), class.is_retryable()), (None, false));
        }
        for class in [FailureClass::ResourceLimit, FailureClass::Postponed] {
            assert!(class.is_retryable() && class.retry_after(1, 0).is_some());
        }
    }

    #[test]
    fn a_crash_is_retried_once_and_an_infrastructure_failure_three_times() {
        assert!(FailureClass::MediaCrash.retry_after(1, 0).is_some());
        assert_eq!(FailureClass::MediaCrash.retry_after(2, 0), None);
        let delays: Vec<_> = (1..=4)
            .map(|n| FailureClass::Infrastructure.retry_after(n, 0))
            .collect();
        let s = |n| Some(Duration::from_secs(n));
        assert_eq!(delays, [s(2), s(8), s(32), None]);
        assert_eq!(FailureClass::Infrastructure.retry_after(1, 1_000), s(3));
    }
}
