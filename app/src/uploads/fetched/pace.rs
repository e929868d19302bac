//! The minimum pace of a download.

use outbound::Phase;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes that a download must bring in each interval.
const PACE_BYTES: usize = 64 << 10;
const PACE_INTERVAL: Duration = Duration::from_secs(60);

/// The pace of a download. One that is too slow ends and is continued later, so that hosts that send a byte a minute do
/// not keep the places of a worker.
pub(super) struct Pace {
    since: Instant,
    bytes: usize,
}

impl Pace {
    pub(super) fn begin() -> Self {
        Self {
            since: Instant::now(),
            bytes: 0,
        }
    }

    pub(super) fn add(&mut self, bytes: usize) -> Result<(), outbound::Error> {
        self.bytes += bytes;
        if self.since.elapsed() < PACE_INTERVAL {
            return Ok(());
        }
        let received = std::mem::replace(self, Self::begin()).bytes;
        let is_fast = received >= PACE_BYTES;
        is_fast.then_some(()).ok_or(outbound::Error::Timeout(Phase::Stall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_that_is_slow_for_a_minute_ends() {
        let minute = |bytes| Pace {
            since: Instant::now().checked_sub(PACE_INTERVAL).unwrap(),
            bytes,
        };
        assert!(Pace::begin().add(1).is_ok());
        let mut fast = minute(PACE_BYTES - 1);
        assert!(fast.add(1).is_ok());
        assert_eq!(fast.bytes, 0, "a new interval begins");
        let ended = minute(0).add(PACE_BYTES - 1);
        assert!(ended.is_err_and(|error| error.is_transient()));
    }
}
