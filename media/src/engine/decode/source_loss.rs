//! Compares the length that a source promises with what was decoded.

use crate::engine::decode::stream_decoder::StreamDecoder;
use crate::engine::demux::gap_detector::Holes;
use std::ops::AddAssign;

/// Headers of containers that know no lengths of single streams are believed only so far.
const VAGUE_US: u64 = 1_000_000;

/// A loss at the end below this goes unnoticed, in microseconds; headers are often a few frames off.
const NOTICED_US: u64 = 250_000;

/// What was lost on the way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SourceLoss {
    /// Microseconds that are not there, holes included.
    pub(crate) lost_us: u64,
    /// Where the first of it belongs, in microseconds after the origin of the source, when known.
    pub(crate) from_us: Option<u64>,
    /// Microseconds of sound that is lost while pictures go on, and where the first of it belongs, likewise.
    pub(crate) silent_us: u64,
    pub(crate) silent_from_us: u64,
    /// Whether the headers of packets changed on the way.
    pub(crate) headers_changed: bool,
    /// Whether some picture that was decoded is transparent.
    pub(crate) transparent: bool,
    /// Whether frames may be missing at the end that nothing tells of.
    pub(crate) open_end: bool,
    /// Whether the frames are not at the rate of the header.
    pub(crate) uneven_steps: bool,
    /// Bytes at the end of the file that were not read.
    pub(crate) unread_bytes: u64,
}

impl SourceLoss {
    /// Compares how far the tracks came with what they promised. The span begins at `start_us` of the source's clock, whose
    /// moment 0 is `origin_us`,
    /// and lasts `span_us`, as far as the probe could tell.
    pub(crate) fn of(tracks: &[&StreamDecoder], (origin_us, start_us): (i64, i64), span_us: i64) -> Self {
        let promised = |track: &&&StreamDecoder| track.promised_us > 0;
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
        let missing_us = missing.max().or_else(vague).unwrap_or(0);
        let missing_us = if missing_us >= NOTICED_US { missing_us } else { 0 };
        let broken_us = tracks.iter().map(|track| track.broken_us()).max().unwrap_or(0);
        let broken_at = tracks.iter().filter_map(|track| track.broken_at_us).min();
        // Damage that only the pictures show has no place.
        let ends_at = tracks
            .iter()
            .map(|track| start_us.saturating_add(track.reached_us))
            .min();
        Self {
            // Packets that are missing at the end may be the ones that did not decode: they count once.
            lost_us: missing_us.max(broken_us),
            silent_us: 0,
            silent_from_us: 0,
            from_us: broken_at
                .or(ends_at.filter(|_| broken_us == 0))
                .map(|us| unsigned(us.saturating_sub(origin_us))),
            headers_changed: tracks.iter().any(|track| track.headers_changed()),
            transparent: tracks.iter().any(|track| track.transparent),
            open_end: false,
            uneven_steps: false,
            unread_bytes: 0,
        }
    }

    /// Adds the holes of a source whose moment 0 is `origin_us`.
    pub(crate) fn with_holes(self, holes: Holes, origin_us: i64) -> Self {
        let after = |us: i64| unsigned(us.saturating_sub(origin_us));
        let from_us = match (holes.all.at_us.map(after), self.from_us.filter(|_| self.lost_us > 0)) {
            (Some(hole_us), Some(from_us)) => Some(hole_us.min(from_us)),
            (hole_us, _) => hole_us.or(self.from_us),
        };
        Self {
            lost_us: self.lost_us.saturating_add(unsigned(holes.all.length_us)),
            from_us,
            silent_us: unsigned(holes.audio.length_us),
            silent_from_us: holes.audio.at_us.map_or(0, after),
            ..self
        }
    }
}

impl AddAssign for SourceLoss {
    fn add_assign(&mut self, more: Self) {
        if self.silent_us == 0 {
            self.silent_from_us = more.silent_from_us;
        }
        if self.lost_us == 0 {
            self.from_us = more.from_us;
        }
        self.lost_us += more.lost_us;
        self.silent_us += more.silent_us;
        self.headers_changed |= more.headers_changed;
        self.transparent |= more.transparent;
        self.open_end |= more.open_end;
        self.uneven_steps |= more.uneven_steps;
        self.unread_bytes = self.unread_bytes.max(more.unread_bytes);
    }
}

fn unsigned(us: i64) -> u64 {
    u64::try_from(us).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::SourceLoss;

    #[test]
    fn the_place_is_that_of_the_first_span_that_lost_something() {
        let span = |lost_us: u64, from_us: u64| SourceLoss {
            lost_us,
            from_us: Some(from_us),
            ..SourceLoss::default()
        };
        let mut all = SourceLoss::default();
        for one in [span(0, 2_000_000), span(500_000, 5_000_000), span(700_000, 9_000_000)] {
            all += one;
        }
        assert_eq!((all.lost_us, all.from_us), (1_200_000, Some(5_000_000)));
    }
}
