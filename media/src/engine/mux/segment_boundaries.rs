//! Boundaries between segments, shared by the renditions that must be cut at the same times.
//!
//! A video rendition decides where segments begin and publishes the times here. Its audio rendition is cut at the same
//! times. Audio packets may arrive before the boundary that concerns them is known, so the video also publishes up to
//! which time its boundaries are final, and the audio is held back until then. If the first rung is copied, the encoded
//! rungs force a keyframe at each of its boundaries.

use domain::Rational;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tolerance for timestamps that are copied from a source with a time base of 1 ms (Matroska, FLV): the start time and
/// the timestamp itself are both rounded.
pub(crate) const MILLISECOND_ROUNDING_US: u64 = 2_000;

/// The segment boundaries of one rung. Clones share the same boundaries.
#[derive(Clone, Debug, Default)]
pub(crate) struct SegmentBoundaries(Arc<Mutex<Boundaries>>);

#[derive(Debug, Default)]
struct Boundaries {
    /// Start times of all segments except the first, in microseconds, ascending.
    starts_us: Vec<u64>,
    /// Time up to which no more boundaries are added.
    final_until_us: u64,
}

impl SegmentBoundaries {
    fn lock(&self) -> MutexGuard<'_, Boundaries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the start of a segment. Times must ascend.
    pub(crate) fn add(&self, start_us: u64) {
        self.lock().starts_us.push(start_us);
    }

    /// Declares the boundaries up to a time as final.
    pub(crate) fn set_final_until(&self, us: u64) {
        let mut boundaries = self.lock();
        boundaries.final_until_us = boundaries.final_until_us.max(us);
    }

    /// Returns `true` if all boundaries up to a time are final.
    pub(crate) fn is_final_until(&self, us: u64) -> bool {
        us <= self.lock().final_until_us
    }

    /// Returns `true` if there is a boundary in the interval (`after_us`, `until_us`].
    pub(crate) fn has_between(&self, after_us: u64, until_us: u64) -> bool {
        let boundaries = self.lock();
        let next = boundaries.starts_us.partition_point(|start| *start <= after_us);
        boundaries.starts_us.get(next).is_some_and(|start| *start <= until_us)
    }

    /// Returns `true` if a segment begins with a frame of a stream with a constant frame rate. The comparison is by
    /// frame number, because the leader's timestamps may be rounded to milliseconds.
    pub(crate) fn is_at_frame(&self, frame: u64, fps: Rational) -> bool {
        let boundaries = self.lock();
        boundaries
            .starts_us
            .binary_search_by_key(&frame, |us| fps.frames_in(*us))
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_found_by_time_and_by_frame() {
        let boundaries = SegmentBoundaries::default();
        // Timestamps of Matroska, rounded to milliseconds, of frames 100 and 220 at 29.97 fps.
        boundaries.add(3_336_000);
        boundaries.add(7_341_000);
        boundaries.set_final_until(8_000_000);
        let intervals = [
            (0, 3_335_999),
            (0, 3_336_000),
            (3_336_000, 7_000_000),
            (3_336_000, 9_000_000),
            (8_000_000, 9_000_000),
        ];
        assert_eq!(
            intervals.map(|(after, until)| boundaries.has_between(after, until)),
            [false, true, false, true, false]
        );
        let fps = Rational::new(30_000, 1_001).unwrap();
        let frames: Vec<_> = (0..300).filter(|frame| boundaries.is_at_frame(*frame, fps)).collect();
        assert_eq!(frames, [100, 220]);
        assert_eq!(
            [8_000_000, 8_000_001].map(|us| boundaries.is_final_until(us)),
            [true, false]
        );
    }
}
