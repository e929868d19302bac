//! Boundaries between the segments of a rung, shared by all renditions that are cut alike: the video decides, the others follow.

use domain::Rational;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is copied from a source that counts milliseconds may be so much off: its first time and its own are rounded.
pub(crate) const MILLISECONDS_US: u64 = 2_000;

/// The borders between the segments of one rung.
#[derive(Clone, Debug, Default)]
pub(crate) struct SegmentBoundaries(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Where each segment but the first begins, in microseconds.
    begins_us: Vec<u64>,
    /// No other one begins up to here.
    until_us: u64,
}

impl SegmentBoundaries {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that a segment begins.
    pub(crate) fn begin(&self, at_us: u64) {
        self.known().begins_us.push(at_us);
    }

    /// Tells that no segment begins up to here but those that were told.
    pub(crate) fn reach(&self, us: u64) {
        let mut known = self.known();
        known.until_us = known.until_us.max(us);
    }

    /// Whether every border up to here was told.
    pub(crate) fn are_known(&self, until_us: u64) -> bool {
        until_us <= self.known().until_us
    }

    /// Whether there is a border after one moment and up to another, in microseconds.
    pub(crate) fn between(&self, after_us: u64, until_us: u64) -> bool {
        let known = self.known();
        let passed = known.begins_us.partition_point(|begin| *begin <= after_us);
        known.begins_us.get(passed).is_some_and(|begin| *begin <= until_us)
    }

    /// Whether a segment begins with a frame of a constant rate.
    pub(crate) fn begin_with(&self, frame: u64, fps: Rational) -> bool {
        let known = self.known();
        known
            .begins_us
            .binary_search_by_key(&frame, |us| fps.frames_in(*us))
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_found_in_time_and_in_frames() {
        let cuts = SegmentBoundaries::default();
        // Matroska counts milliseconds: frames 100 and 220 of 29.97 a second.
        cuts.begin(3_336_000);
        cuts.begin(7_341_000);
        cuts.reach(8_000_000);
        let within = [
            (0, 3_335_999),
            (0, 3_336_000),
            (3_336_000, 7_000_000),
            (3_336_000, 9_000_000),
            (8_000_000, 9_000_000),
        ];
        assert_eq!(
            within.map(|(after, until)| cuts.between(after, until)),
            [false, true, false, true, false]
        );
        let fps = Rational::new(30_000, 1_001).unwrap();
        let frames: Vec<_> = (0..300).filter(|frame| cuts.begin_with(*frame, fps)).collect();
        assert_eq!(frames, [100, 220]);
        assert_eq!([8_000_000, 8_000_001].map(|us| cuts.are_known(us)), [true, false]);
    }
}
