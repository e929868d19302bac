//! What a source promised and did not give.

use super::track::Track;
use std::ops::AddAssign;

/// Headers of containers that know no lengths of single streams are believed only so far.
const VAGUE_US: u64 = 1_000_000;

/// What was lost on the way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Losses {
    /// Microseconds that the headers promise and the source does not have.
    pub(super) missing_us: u64,
    /// Microseconds of pictures or sound that did not decode.
    pub(super) broken_us: u64,
}

impl Losses {
    /// Compares how far the tracks came with what they promised. The span begins at `start_us` of the source's clock
    /// and lasts `span_us`, as far as the probe could tell.
    pub(super) fn of(tracks: &[&Track], start_us: i64, span_us: i64) -> Self {
        let promised = |track: &&&Track| track.promised_us > 0;
        let missing = tracks.iter().filter(promised).map(|track| {
            let own_us = track
                .promised_us
                .saturating_sub(start_us.saturating_sub(track.origin_us));
            unsigned(own_us.min(span_us).saturating_sub(track.reached_us))
        });
        let vague = || {
            let reached_us = tracks.iter().map(|track| track.reached_us).max().unwrap_or(span_us);
            Some(unsigned(span_us.saturating_sub(reached_us))).filter(|us| *us > VAGUE_US)
        };
        Self {
            missing_us: missing.max().or_else(vague).unwrap_or(0),
            broken_us: tracks.iter().map(|track| track.broken_us()).max().unwrap_or(0),
        }
    }
}

impl AddAssign for Losses {
    fn add_assign(&mut self, more: Self) {
        self.missing_us += more.missing_us;
        self.broken_us += more.broken_us;
    }
}

fn unsigned(us: i64) -> u64 {
    u64::try_from(us).unwrap_or(0)
}
