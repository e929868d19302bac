//! A moment for replies and for ages.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A time on two clocks: that of the wall for replies, and one that no one can set, for ages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Milliseconds since the Unix epoch.
    pub(super) ms: i64,
    instant: Instant,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self {
            ms: now_ms(),
            instant: Instant::now(),
        }
    }

    pub(super) fn is_after(self, instant: Instant) -> bool {
        self.instant > instant
    }

    /// The time since then.
    pub(super) fn age(self) -> Duration {
        self.instant.elapsed()
    }
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
