//! Constant frame rate: maps frames with arbitrary timestamps to the slots of an even grid.
//!
//! *Problem.* Timestamps of a source are rounded (to milliseconds in Matroska), may jitter, and may have a variable
//! rate. A trim cuts the source at any point between two frames. Outputs have exactly one frame per slot of `1 / fps`,
//! in step with the audio.
//!
//! *Mechanism.* The grid begins with the first frame: slot 0 has the phase of the first timestamp and starts less than
//! one slot after the start of the span. A source with the rate of the output thus maps frame to slot one by one,
//! independent of the cut.
//!
//! One frame is pending at any time. The next frame tells how long the pending one is shown: it is emitted for all
//! slots before the slot of the next frame. If both belong to the same slot, the nearer one stays and the other is
//! counted as dropped. The slot of a frame is the one that follows those of its predecessor, as long as that slot is
//! less than 0.6 slots away; otherwise it is the nearest. This hysteresis keeps rounding from alternating between
//! dropped and repeated frames when timestamps are half-way between two slots.
//!
//! A gap of more than [`MAX_GAP_US`] beyond the span, or a step back of more than [`MAX_BACKWARD_US`], is a timestamp
//! discontinuity: the grid is shifted so that the new frame follows the pending one.
//!
//! *Invariants.*
//!
//! - Emitted ranges of slots are consecutive, begin at 0 and do not exceed `max_slots`.
//! - Each frame is emitted for at most one range of slots, except for one that [`ConstantFrameRate::hold_until`]
//!   repeats.
//! - A span with a frame emits at least one slot.
//!
//! *Rejected.* Rounding each timestamp by itself, as FFmpeg's `fps` filter does: half-way timestamps stutter, a
//! discontinuity of an hour becomes an hour of repeated frames, and dropped frames are not reported.

use domain::Rational;
use domain::protocol::DroppedFrames;
use std::ops::Range;

/// Longest gap after the end of the span that is filled with the frame before it, in microseconds. Within the span, a
/// gap of any length is filled.
const MAX_GAP_US: i64 = 10_000_000;

/// Audio after the last slot that may stay without a frame, in microseconds: audio encoders pad their last packet
/// anyway.
const MAX_AUDIO_TAIL_US: i64 = 5_000;

/// A timestamp rounded to milliseconds, as in Matroska, may be this early, in microseconds.
const ROUNDING_US: i64 = 1_500;

/// Frames arrive in presentation order. A step back of more than this, in microseconds, is a discontinuity.
const MAX_BACKWARD_US: i64 = 1_000_000;

/// Assigns frames of a span to slots; see the [module](self).
pub(crate) struct ConstantFrameRate<T> {
    fps: Rational,
    /// Slots of the span, if its end is known.
    max_slots: Option<u64>,
    /// Expected duration of the span.
    span_us: i64,
    /// Time of slot 0 in the span, once there was a frame.
    first_slot_us: Option<i64>,
    pending: Option<Pending<T>>,
    /// First slot that was not emitted.
    next_slot: u64,
    dropped: Option<DroppedFrames>,
}

/// The latest frame. Its times count from slot 0.
struct Pending<T> {
    frame: T,
    at_us: i64,
    end_us: i64,
    /// `true` after [`ConstantFrameRate::hold_until`] emitted it for some slots.
    is_emitted: bool,
}

impl<T> ConstantFrameRate<T> {
    /// A grid of `fps` with at most `max_slots` slots, for a span of about `span_us` microseconds.
    pub(crate) fn new(fps: Rational, max_slots: Option<u64>, span_us: u64) -> Self {
        Self {
            fps,
            max_slots,
            span_us: i64::try_from(span_us).unwrap_or(i64::MAX),
            first_slot_us: None,
            pending: None,
            next_slot: 0,
            dropped: None,
        }
    }

    /// Frames that got no slot, because another frame is nearer to it or already shown in it.
    pub(crate) const fn dropped_frames(&self) -> Option<DroppedFrames> {
        self.dropped
    }

    /// Number of slots emitted so far.
    pub(crate) const fn slot_count(&self) -> u64 {
        self.next_slot
    }

    /// Time of slot 0 in microseconds after the start of the span; `None` before the first frame.
    pub(crate) const fn first_slot_us(&self) -> Option<i64> {
        self.first_slot_us
    }

    /// Adds a frame that is shown from `at_us` for about `duration_us`. Emits the frame before it if its slots are now
    /// known.
    pub(crate) fn push(&mut self, frame: T, at_us: i64, duration_us: i64) -> Option<(T, Range<u64>)> {
        let first_slot_us = self
            .first_slot_us
            .unwrap_or_else(|| at_us - self.time_of(self.slot_at(at_us)));
        self.first_slot_us = Some(first_slot_us);
        let mut at_us = at_us.saturating_sub(first_slot_us);
        let next_slot_us = self.time_of(self.next_slot);
        let max_gap_us = MAX_GAP_US.max(self.span_us.saturating_sub(next_slot_us));
        let previous_us = self.pending.as_ref().map_or(next_slot_us, |pending| pending.at_us);
        if at_us.saturating_sub(next_slot_us) > max_gap_us || previous_us.saturating_sub(at_us) > MAX_BACKWARD_US {
            // A discontinuity: shift the grid, so that the new frame begins at the end of the pending one.
            let resumed_us = self.pending.as_ref().map_or(0, |pending| pending.end_us);
            self.first_slot_us = Some(first_slot_us.saturating_add(at_us.saturating_sub(resumed_us)));
            at_us = resumed_us;
        }
        let new = Pending {
            frame,
            at_us,
            end_us: at_us.saturating_add(duration_us.clamp(1, max_gap_us)),
            is_emitted: false,
        };
        let Some(old) = self.pending.take() else {
            self.pending = Some(new);
            return None;
        };
        let slot = self.slot_of(at_us, self.next_slot + u64::from(!old.is_emitted));
        if slot <= self.next_slot {
            // Both belong to the next slot: the nearer one gets it.
            let slot_us = self.time_of(self.next_slot);
            let old_is_nearer = (old.at_us - slot_us).abs() <= (new.at_us - slot_us).abs();
            let (kept, other) = if old_is_nearer && slot == self.next_slot {
                let end_us = new.end_us.max(old.end_us);
                (Pending { end_us, ..old }, new)
            } else {
                (new, old)
            };
            self.count_dropped(&other);
            self.pending = Some(kept);
            return None;
        }
        self.pending = Some(new);
        self.emit(old, slot)
    }

    /// Ends the span and emits the last frame: for the slots until `until_us`, or until the end of the span when the
    /// source continues after it (`None`).
    pub(crate) fn finish(&mut self, until_us: Option<i64>) -> Option<(T, Range<u64>)> {
        let last = self.pending.take()?;
        let until_on_grid_us = until_us.map(|us| us.saturating_sub(self.first_slot_us.unwrap_or(0)));
        // The end is rounded to the nearest slot. If audio continues for more than one slot after the video, it is
        // rounded up, so that at most MAX_AUDIO_TAIL_US of audio has no frame.
        let slot_us = i64::try_from(self.fps.duration_us(1)).unwrap_or(0);
        let is_extended = until_on_grid_us.is_some_and(|us| us > last.end_us.saturating_add(slot_us));
        let round_up_us = if is_extended {
            (slot_us / 2 - MAX_AUDIO_TAIL_US).max(0)
        } else {
            0
        };
        let end_us = until_on_grid_us.unwrap_or(last.end_us).saturating_add(round_up_us);
        // A frame that ends before its slot begins was rounded into it. Any other frame gets at least one slot.
        let ends_before_its_slot = self.next_slot > 0 && self.time_of(self.next_slot) >= end_us;
        let min_end_slot = if ends_before_its_slot { 0 } else { self.next_slot + 1 };
        let own_end_slot = self.nearest_slot(end_us).max(min_end_slot);
        let end_slot = self.max_slots.filter(|_| until_us.is_none()).unwrap_or(own_end_slot);
        self.emit(last, end_slot)
    }

    /// Emits the pending frame for the slots until `until_us` before its successor is known, and keeps it pending, as
    /// it may be shown for longer. Audio that is far ahead then does not wait for the next frame.
    pub(crate) fn hold_until(&mut self, until_us: i64) -> Option<(T, Range<u64>)>
    where
        T: Clone,
    {
        let end_slot = self.nearest_slot(until_us.saturating_sub(self.first_slot_us?));
        let slots = self.slots_before(end_slot);
        let held = self.pending.as_mut().filter(|_| !slots.is_empty())?;
        held.is_emitted = true;
        self.next_slot = slots.end;
        Some((held.frame.clone(), slots))
    }

    /// Counts a frame that gets no slot, unless it begins at the end of the span and thus is not part of it.
    fn count_dropped(&mut self, frame: &Pending<T>) {
        let latest_us = frame.at_us.saturating_add(ROUNDING_US);
        let is_after_span = self.max_slots.is_some_and(|slots| latest_us >= self.time_of(slots));
        if frame.is_emitted || is_after_span {
            return;
        }
        let one = DroppedFrames {
            frames: 1,
            at_us: self.fps.duration_us(self.next_slot),
        };
        self.dropped = DroppedFrames::joined(self.dropped, Some(one), 0);
    }

    /// Emits a frame for the slots before `end_slot`.
    fn emit(&mut self, frame: Pending<T>, end_slot: u64) -> Option<(T, Range<u64>)> {
        let slots = self.slots_before(end_slot);
        if slots.is_empty() {
            self.count_dropped(&frame);
            return None;
        }
        self.next_slot = slots.end;
        Some((frame.frame, slots))
    }

    /// Slots of the span that are not emitted yet and are before `end_slot`.
    fn slots_before(&self, end_slot: u64) -> Range<u64> {
        self.next_slot..self.max_slots.map_or(end_slot, |max_slots| end_slot.min(max_slots))
    }

    /// Start of a slot in microseconds after slot 0.
    fn time_of(&self, slot: u64) -> i64 {
        i64::try_from(self.fps.duration_us(slot)).unwrap_or(i64::MAX)
    }

    /// Slot of a frame: `expected`, the one after those of the previous frame, if it is less than 0.6 slots away, else
    /// the nearest. With timestamps half-way between two slots, as after a cut within a frame, rounding to the nearest
    /// would drop one frame and repeat the next.
    fn slot_of(&self, us: i64, expected: u64) -> u64 {
        let distance_us = us.saturating_sub(self.time_of(expected)).unsigned_abs();
        if distance_us.saturating_mul(10) < self.fps.duration_us(6) {
            expected
        } else {
            self.nearest_slot(us)
        }
    }

    fn nearest_slot(&self, us: i64) -> u64 {
        u64::try_from(us).map_or(0, |us| self.fps.frames_in(us))
    }

    /// The last slot that begins at or before `us`.
    fn slot_at(&self, us: i64) -> u64 {
        let slot = self.nearest_slot(us);
        if self.time_of(slot) > us {
            slot.saturating_sub(1)
        } else {
            slot
        }
    }
}

#[cfg(test)]
mod tests;
