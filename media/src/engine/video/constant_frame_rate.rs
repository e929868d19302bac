//! Constant frame rate: maps frames with arbitrary timestamps to the slots of an even grid.

use domain::Rational;
use domain::protocol::DroppedFrames;
use std::ops::Range;

/// A gap longer than this is believed only while the span lasts; beyond it the clock of the source has jumped.
const MAX_GAP_US: i64 = 10_000_000;

/// What lasts shorter than this need not be heard, in microseconds: encoders of sound fill their last packet up.
const UNHEARD_US: i64 = 5_000;

/// Clocks of milliseconds, as in Matroska, tell a time up to so much too early, in microseconds.
const ROUNDING_US: i64 = 1_500;

/// Pictures come in the order of showing: a step back of more than this is a jump as well.
const MAX_BACK_US: i64 = 1_000_000;

/// Chooses for every slot of the output the picture whose time is nearest, as the pictures go by.
///
/// The grid of slots begins with the first picture, so that a constant rate that is kept maps picture to slot one by
/// one, wherever the span was cut.
pub(crate) struct ConstantFrameRate<T> {
    fps: Rational,
    /// Slots of the span, when it has an end.
    limit: Option<u64>,
    /// How long the span should be; gaps within it are believed.
    span_us: i64,
    /// The time of slot 0.
    zero_us: Option<i64>,
    pending: Option<Pending<T>>,
    /// The first slot that was not handed out.
    next: u64,
    /// Pictures that got no slot: another one is nearer to it, or is shown in it already.
    dropped: Option<DroppedFrames>,
}

struct Pending<T> {
    frame: T,
    at_us: i64,
    end_us: i64,
    /// `true` once it was handed out and stands on.
    shown: bool,
}

impl<T> ConstantFrameRate<T> {
    /// A grid of `fps`, at most `limit` slots, for a span of about `span_us` microseconds.
    pub(crate) fn new(fps: Rational, limit: Option<u64>, span_us: u64) -> Self {
        Self {
            fps,
            limit,
            span_us: i64::try_from(span_us).unwrap_or(i64::MAX),
            zero_us: None,
            pending: None,
            next: 0,
            dropped: None,
        }
    }

    /// Pictures that got no slot: another one is nearer to it, or is shown in it already.
    pub(crate) const fn dropped(&self) -> Option<DroppedFrames> {
        self.dropped
    }

    /// Slots handed out so far.
    pub(crate) const fn slots(&self) -> u64 {
        self.next
    }

    /// The time that became slot 0, once there was a picture: less than one slot after the start of the span.
    pub(crate) const fn zero_us(&self) -> Option<i64> {
        self.zero_us
    }

    /// Takes the next picture, shown from `at_us` for about `duration_us`; hands out an earlier one whose slots are
    /// now known.
    pub(crate) fn push(&mut self, frame: T, at_us: i64, duration_us: i64) -> Option<(T, Range<u64>)> {
        let zero = self.zero_us.unwrap_or_else(|| at_us - self.time_of(self.floor(at_us)));
        self.zero_us = Some(zero);
        let mut at_us = at_us.saturating_sub(zero);
        let shown_us = self.time_of(self.next);
        let longest_us = MAX_GAP_US.max(self.span_us.saturating_sub(shown_us));
        let last_us = self.pending.as_ref().map_or(shown_us, |pending| pending.at_us);
        if at_us.saturating_sub(shown_us) > longest_us || last_us.saturating_sub(at_us) > MAX_BACK_US {
            let resumed_us = self.pending.as_ref().map_or(0, |pending| pending.end_us);
            self.zero_us = Some(zero.saturating_add(at_us.saturating_sub(resumed_us)));
            at_us = resumed_us;
        }
        let new = Pending {
            frame,
            at_us,
            end_us: at_us.saturating_add(duration_us.clamp(1, longest_us)),
            shown: false,
        };
        let Some(old) = self.pending.take() else {
            self.pending = Some(new);
            return None;
        };
        let slot = self.slot_of(at_us, self.next + u64::from(!old.shown));
        if slot <= self.next {
            // Both want the same slot: the nearer one gets it.
            let time = self.time_of(self.next);
            let old_is_nearer = (old.at_us - time).abs() <= (new.at_us - time).abs();
            let (kept, other) = if old_is_nearer && slot == self.next {
                let end_us = new.end_us.max(old.end_us);
                (Pending { end_us, ..old }, new)
            } else {
                (new, old)
            };
            self.drop_one(&other);
            self.pending = Some(kept);
            return None;
        }
        self.pending = Some(new);
        self.hand_out(old, slot)
    }

    /// Hands out the last picture: until `until_us`, or to the end of the span.
    pub(crate) fn end(&mut self, until_us: Option<i64>) -> Option<(T, Range<u64>)> {
        let last = self.pending.take()?;
        let told_us = until_us.map(|us| us.saturating_sub(self.zero_us.unwrap_or(0)));
        // A slot that begins before the end is shown, unless no sound could be heard in it.
        let slot_us = i64::try_from(self.fps.duration_us(1)).unwrap_or(0);
        let lengthened = told_us.is_some_and(|us| us > last.end_us.saturating_add(slot_us));
        let more_us = if lengthened {
            (slot_us / 2 - UNHEARD_US).max(0)
        } else {
            0
        };
        let end_us = told_us.unwrap_or(last.end_us).saturating_add(more_us);
        // A picture that is over before its slot begins was rounded into it; any other is seen at least once.
        let over = self.next > 0 && self.time_of(self.next) >= end_us;
        let own = self.nearest(end_us).max(if over { 0 } else { self.next + 1 });
        let until = self.limit.filter(|_| until_us.is_none()).unwrap_or(own);
        self.hand_out(last, until)
    }

    /// Hands out the picture that is shown now for its slots until `until_us`, and keeps it: it may stand on.
    pub(crate) fn stand_until(&mut self, until_us: i64) -> Option<(T, Range<u64>)>
    where
        T: Clone,
    {
        let until = self.nearest(until_us.saturating_sub(self.zero_us?));
        let slots = self.next..self.limit.map_or(until, |limit| until.min(limit));
        let standing = self.pending.as_mut().filter(|_| !slots.is_empty())?;
        standing.shown = true;
        self.next = slots.end;
        Some((standing.frame.clone(), slots))
    }

    /// Counts a picture that gets no slot; one that begins at the end of the span is no part of it.
    fn drop_one(&mut self, frame: &Pending<T>) {
        let begins_by = frame.at_us.saturating_add(ROUNDING_US);
        if frame.shown || self.limit.is_some_and(|limit| begins_by >= self.time_of(limit)) {
            return;
        }
        let one = DroppedFrames {
            frames: 1,
            at_us: self.fps.duration_us(self.next),
        };
        self.dropped = DroppedFrames::joined(self.dropped, Some(one), 0);
    }

    fn hand_out(&mut self, frame: Pending<T>, until: u64) -> Option<(T, Range<u64>)> {
        let slots = self.next..self.limit.map_or(until, |limit| until.min(limit));
        if slots.is_empty() {
            self.drop_one(&frame);
            return None;
        }
        self.next = slots.end;
        Some((frame.frame, slots))
    }

    fn time_of(&self, slot: u64) -> i64 {
        i64::try_from(self.fps.duration_us(slot)).unwrap_or(i64::MAX)
    }

    /// The slot of a picture: `follows`, the one after those of the picture before it, while that is less than 0.6 slots off, else
    /// the nearest. Where times lie half way between two slots, as behind a cut inside a frame, the nearest alone would jump to and
    /// fro with each rounding: one picture left out, the next one shown twice.
    fn slot_of(&self, us: i64, follows: u64) -> u64 {
        let off_us = us.saturating_sub(self.time_of(follows)).unsigned_abs();
        if off_us.saturating_mul(10) < self.fps.duration_us(6) {
            follows
        } else {
            self.nearest(us)
        }
    }

    fn nearest(&self, us: i64) -> u64 {
        u64::try_from(us).map_or(0, |us| self.fps.frames_in(us))
    }

    /// The last slot that begins at or before `us`.
    fn floor(&self, us: i64) -> u64 {
        let slot = self.nearest(us);
        if self.time_of(slot) > us {
            slot.saturating_sub(1)
        } else {
            slot
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn fps(num: u32) -> Rational {
        Rational { num, den: 1 }
    }

    /// Feeds pictures `(number, at, duration)` and writes down which is seen in every slot.
    fn seen(mut constant_rate: ConstantFrameRate<u32>, frames: &[(u32, i64, i64)], goes_on: bool) -> Vec<u32> {
        let mut slots = Vec::new();
        let mut note = |out: Option<(u32, Range<u64>)>| {
            if let Some((number, range)) = out {
                assert_eq!(range.start, slots.len() as u64);
                slots.extend(range.map(|_| number));
            }
        };
        for (number, at, duration) in frames {
            note(constant_rate.push(*number, *at, *duration));
        }
        let own_us = frames.last().map_or(0, |(_, at, duration)| at + duration);
        note(constant_rate.end((!goes_on).then_some(own_us)));
        slots
    }

    fn constant(rate: u32, from: i64, count: u32) -> Vec<(u32, i64, i64)> {
        let us = |n: u32| i64::try_from(fps(rate).duration_us(u64::from(n))).unwrap();
        (0..count).map(|n| (n, from + us(n), us(1))).collect()
    }

    #[test]
    fn a_rate_that_is_kept_keeps_every_frame_wherever_the_span_was_cut() {
        for from in [0, 700, 16_000, 23_333, 33_000] {
            let slots = seen(
                ConstantFrameRate::new(fps(30), Some(30), 1_000_000),
                &constant(30, from, 30),
                true,
            );
            assert_eq!(slots, (0..30).collect::<Vec<_>>(), "cut at {from}");
        }
    }

    #[test]
    fn a_lower_rate_drops_and_a_higher_one_repeats_evenly() {
        let slots = seen(ConstantFrameRate::new(fps(24), None, 0), &constant(30, 0, 30), false);
        assert_eq!(slots.len(), 24);
        assert_eq!(slots[..5], [0, 1, 2, 4, 5]);
        let slots = seen(ConstantFrameRate::new(fps(30), None, 0), &constant(15, 0, 15), false);
        assert_eq!(slots, (0..30).map(|slot| slot / 2).collect::<Vec<_>>());
    }

    #[test]
    fn a_cut_half_way_between_two_slots_costs_one_frame_at_most() {
        // Rounded to milliseconds, from the second part on half a slot later or earlier.
        for half in [500, -500] {
            let frames: Vec<_> = (0..120)
                .map(|n| {
                    let thousandths = i64::from(n) * 1_000 + if n < 60 { 0 } else { half };
                    (n, thousandths / 30 * 1_000, 33_000)
                })
                .collect();
            let slots = seen(ConstantFrameRate::new(fps(30), None, 0), &frames, false);
            let distinct = slots.windows(2).filter(|pair| pair[0] != pair[1]).count() + 1;
            assert!(distinct >= 119 && slots.len() <= 121, "{half}: {slots:?}");
        }
    }

    #[test]
    fn frames_without_a_slot_are_counted_and_one_that_stood_is_not() {
        let dropped = |mut constant_rate: ConstantFrameRate<u32>, frames: &[(u32, i64, i64)], goes_on: bool| {
            for (number, at, duration) in frames {
                let _ = constant_rate.push(*number, *at, *duration);
            }
            let own_us = frames.last().map_or(0, |(_, at, duration)| at + duration);
            let _ = constant_rate.end((!goes_on).then_some(own_us));
            constant_rate.dropped().map(|dropped| (dropped.frames, dropped.at_us))
        };
        let from_zero = |rate| ConstantFrameRate::new(fps(rate), None, 0);
        assert_eq!(dropped(from_zero(30), &constant(30, 0, 90), false), None);
        assert_eq!(dropped(from_zero(60), &constant(30, 0, 90), false), None);
        assert_eq!(dropped(from_zero(15), &constant(30, 0, 90), false), Some((45, 66_667)));
        // The one that ends a span belongs to what follows.
        let span = ConstantFrameRate::new(fps(30), Some(30), 1_000_000);
        assert_eq!(dropped(span, &constant(30, 0, 31), true), None);
        let mut stood = ConstantFrameRate::new(fps(30), None, 20_000_000);
        assert_eq!(stood.push(0, 0, 33_333), None);
        assert_eq!(stood.stand_until(10_000_000), Some((0, 0..300)));
        assert_eq!(stood.push(1, 10_000_000, 33_333), None);
        assert_eq!(stood.end(Some(10_033_333)), Some((1, 300..301)));
        assert_eq!(stood.dropped(), None);
    }

    #[test]
    fn a_lower_rate_does_not_lengthen_the_end() {
        assert_eq!(
            seen(ConstantFrameRate::new(fps(15), None, 0), &constant(30, 0, 240), false).len(),
            120
        );
    }

    #[test]
    fn a_source_that_ends_early_leaves_no_frozen_frames_and_one_that_goes_on_fills_the_span() {
        let frames = constant(30, 0, 10);
        assert_eq!(
            seen(ConstantFrameRate::new(fps(30), Some(30), 1_000_000), &frames, false).len(),
            10
        );
        assert_eq!(
            seen(ConstantFrameRate::new(fps(30), Some(30), 1_000_000), &frames, true).len(),
            30
        );
    }

    #[test]
    fn one_frame_in_is_one_frame_out_and_none_is_none() {
        assert_eq!(seen(ConstantFrameRate::new(fps(30), None, 0), &[(7, 0, 0)], false), [7]);
        assert_eq!(seen(ConstantFrameRate::new(fps(30), None, 0), &[], false), [0; 0]);
    }

    #[test]
    fn millisecond_clocks_do_not_stutter() {
        let frames: Vec<_> = (0..300_u32)
            .map(|n| (n, i64::from(n * 1_000 / 30) * 1_000, 33_000))
            .collect();
        assert_eq!(
            seen(ConstantFrameRate::new(fps(30), None, 0), &frames, false),
            (0..300).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_clock_that_jumps_by_an_hour_adds_no_hour() {
        let mut frames = constant(30, 0, 30);
        frames.extend(constant(30, 3_600_000_000, 30));
        assert_eq!(
            seen(ConstantFrameRate::new(fps(30), None, 2_000_000), &frames, false).len(),
            60
        );
    }

    #[test]
    fn one_wrong_time_costs_no_other_frame() {
        for wrong in [4_000_000_000, -4_000_000_000] {
            let mut frames = constant(30, 0, 60);
            frames[30].1 = wrong;
            let slots = seen(ConstantFrameRate::new(fps(30), None, 2_000_000), &frames, false);
            assert!(slots.len().abs_diff(60) <= 1, "{} slots", slots.len());
            assert_eq!(slots.last(), Some(&59));
        }
    }

    #[test]
    fn a_still_that_lasts_within_the_span_is_repeated() {
        let slots = seen(
            ConstantFrameRate::new(fps(10), Some(300), 30_000_000),
            &[(0, 0, 1), (1, 25_000_000, 1)],
            true,
        );
        assert_eq!((slots.len(), slots[249], slots[250]), (300, 0, 1));
    }
}
