//! Why a task did not work out, and whether to try again.

use crate::code::Code;
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;

/// A task that could not be tried is due again after this long.
const POSTPONED_FOR: Duration = Duration::from_secs(5);

/// The class of a failure; it alone decides about another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The source or the recipe is at fault.
    Input,
    /// Nothing is wrong with the source, but this installation cannot do it.
    Unsupported,
    /// Database, storage or machine trouble around the work.
    Infrastructure,
    /// The outputs are made but could not be stored.
    Transfer,
    /// The child hit a limit of time or memory.
    ResourceLimit,
    /// The child died or sent garbage.
    MediaCrash,
    /// The machine had no descriptors, processes or memory left, or the database was away: the task was not tried at all.
    Postponed,
}

/// One failed try: its class, its stable code, and the value that was wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {detail}", code.as_str())]
pub struct Failure {
    /// The class.
    pub kind: FailureKind,
    /// The code a client sees.
    pub code: Code,
    /// What was wrong, in words of ours: no paths, no tool output.
    pub detail: String,
}

impl Failure {
    /// A failure of the given class and code; `detail` names the value that was wrong.
    pub fn new(kind: FailureKind, code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            detail: detail.into(),
        }
    }

    /// The source or the recipe is at fault.
    pub fn input(code: Code, detail: impl Into<String>) -> Self {
        Self::new(FailureKind::Input, code, detail)
    }
}

impl FailureKind {
    /// How long to wait before the next try, when `failures` tries have failed (this one included);
    /// `None` gives the task up. `jitter` in `0..=1_000` spreads neighbors by up to half the delay.
    #[must_use]
    pub fn retry_after(self, failures: u32, jitter: u16) -> Option<Duration> {
        let tries = match self {
            Self::Postponed => return Some(POSTPONED_FOR + POSTPONED_FOR * u32::from(jitter.min(1_000)) / 1_000),
            Self::Input | Self::Unsupported => 0,
            Self::ResourceLimit | Self::MediaCrash => 1,
            Self::Infrastructure | Self::Transfer => 3,
        };
        if failures > tries {
            return None;
        }
        // 2 s, 8 s, 32 s: long enough for a restart of a part, short enough for a person who waits.
        let base_ms = 2_000_u64 << (2 * failures.saturating_sub(1).min(6));
        Some(Duration::from_millis(
            base_ms + base_ms * u64::from(jitter.min(1_000)) / 2_000,
        ))
    }
}

/// Whether the operating system says that descriptors, processes or memory ran out: `ENOMEM`, `ENFILE`, `EMFILE`, and
/// `EAGAIN` where a process or a thread was to be started.
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
    fn a_task_that_was_not_tried_comes_back_however_often_it_failed() {
        for failures in [1, 4, 1_000] {
            let after = FailureKind::Postponed.retry_after(failures, 500).unwrap();
            assert!((5..=10).contains(&after.as_secs()), "{after:?}");
        }
    }

    #[test]
    fn exhaustion_is_told_from_other_errors_of_the_system() {
        for errno in [11, 12, 23, 24] {
            assert!(is_exhaustion(&io::Error::from_raw_os_error(errno)), "{errno}");
        }
        for errno in [2, 5, 13, 28] {
            assert!(!is_exhaustion(&io::Error::from_raw_os_error(errno)), "{errno}");
        }
        assert!(!is_exhaustion(&io::Error::other("x")));
    }

    #[test]
    fn bad_input_is_never_tried_again() {
        assert_eq!(FailureKind::Input.retry_after(1, 0), None);
        assert_eq!(FailureKind::Unsupported.retry_after(1, 0), None);
    }

    #[test]
    fn a_crash_is_tried_once_more_and_infrastructure_three_times() {
        assert!(FailureKind::MediaCrash.retry_after(1, 0).is_some());
        assert_eq!(FailureKind::MediaCrash.retry_after(2, 0), None);
        let delays: Vec<_> = (1..=4).map(|n| FailureKind::Infrastructure.retry_after(n, 0)).collect();
        let s = |n| Some(Duration::from_secs(n));
        assert_eq!(delays, [s(2), s(8), s(32), None]);
        assert_eq!(FailureKind::Infrastructure.retry_after(1, 1_000), s(3));
    }
}
