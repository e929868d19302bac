//! Frames in slots: equal, lower and higher rates, rounded timestamps, discontinuities and ends of spans.

use super::*;

const fn fps(num: u32) -> Rational {
    Rational { num, den: 1 }
}

/// Pushes frames `(number, at_us, duration_us)` and returns the number of the frame in each slot. With
/// `source_continues`, the source has more frames after the span.
fn frames_in_slots(
    mut constant_rate: ConstantFrameRate<u32>,
    frames: &[(u32, i64, i64)],
    source_continues: bool,
) -> Vec<u32> {
    let mut slots = Vec::new();
    let mut record = |out: Option<(u32, Range<u64>)>| {
        if let Some((number, range)) = out {
            assert_eq!(range.start, slots.len() as u64);
            slots.extend(range.map(|_| number));
        }
    };
    for (number, at, duration) in frames {
        record(constant_rate.push(*number, *at, *duration));
    }
    let end_us = frames.last().map_or(0, |(_, at, duration)| at + duration);
    record(constant_rate.finish((!source_continues).then_some(end_us)));
    slots
}

/// `count` frames at an exact rate, the first one at `from` microseconds.
fn constant(rate: u32, from: i64, count: u32) -> Vec<(u32, i64, i64)> {
    let us = |n: u32| i64::try_from(fps(rate).duration_us(u64::from(n))).unwrap();
    (0..count).map(|n| (n, from + us(n), us(1))).collect()
}

#[test]
fn an_equal_constant_rate_keeps_every_frame_wherever_the_span_was_cut() {
    for from in [0, 700, 16_000, 23_333, 33_000] {
        let slots = frames_in_slots(
            ConstantFrameRate::new(fps(30), Some(30), 1_000_000),
            &constant(30, from, 30),
            true,
        );
        assert_eq!(slots, (0..30).collect::<Vec<_>>(), "cut at {from}");
    }
}

#[test]
fn a_lower_rate_drops_frames_evenly_and_a_higher_one_repeats_them_evenly() {
    let slots = frames_in_slots(ConstantFrameRate::new(fps(24), None, 0), &constant(30, 0, 30), false);
    assert_eq!(slots.len(), 24);
    assert_eq!(slots[..5], [0, 1, 2, 4, 5]);
    let slots = frames_in_slots(ConstantFrameRate::new(fps(30), None, 0), &constant(15, 0, 15), false);
    assert_eq!(slots, (0..30).map(|slot| slot / 2).collect::<Vec<_>>());
}

#[test]
fn a_cut_half_way_between_two_slots_drops_one_frame_at_most() {
    // Rounded to milliseconds; the second half of the frames is half a slot later or earlier.
    for half in [500, -500] {
        let frames: Vec<_> = (0..120)
            .map(|n| {
                let thousandths = i64::from(n) * 1_000 + if n < 60 { 0 } else { half };
                (n, thousandths / 30 * 1_000, 33_000)
            })
            .collect();
        let slots = frames_in_slots(ConstantFrameRate::new(fps(30), None, 0), &frames, false);
        let distinct = slots.windows(2).filter(|pair| pair[0] != pair[1]).count() + 1;
        assert!(distinct >= 119 && slots.len() <= 121, "{half}: {slots:?}");
    }
}

#[test]
fn frames_without_a_slot_are_counted_as_dropped_and_held_ones_are_not() {
    let dropped = |mut constant_rate: ConstantFrameRate<u32>, frames: &[(u32, i64, i64)], source_continues: bool| {
        for (number, at, duration) in frames {
            let _ = constant_rate.push(*number, *at, *duration);
        }
        let end_us = frames.last().map_or(0, |(_, at, duration)| at + duration);
        let _ = constant_rate.finish((!source_continues).then_some(end_us));
        constant_rate
            .dropped_frames()
            .map(|dropped| (dropped.frames, dropped.at_us))
    };
    let from_zero = |rate| ConstantFrameRate::new(fps(rate), None, 0);
    assert_eq!(dropped(from_zero(30), &constant(30, 0, 90), false), None);
    assert_eq!(dropped(from_zero(60), &constant(30, 0, 90), false), None);
    assert_eq!(dropped(from_zero(15), &constant(30, 0, 90), false), Some((45, 66_667)));
    // A frame at the end of the span belongs to the next span.
    let span = ConstantFrameRate::new(fps(30), Some(30), 1_000_000);
    assert_eq!(dropped(span, &constant(30, 0, 31), true), None);
    let mut held = ConstantFrameRate::new(fps(30), None, 20_000_000);
    assert_eq!(held.push(0, 0, 33_333), None);
    assert_eq!(held.hold_until(10_000_000), Some((0, 0..300)));
    assert_eq!(held.push(1, 10_000_000, 33_333), None);
    assert_eq!(held.finish(Some(10_033_333)), Some((1, 300..301)));
    assert_eq!(held.dropped_frames(), None);
}

#[test]
fn a_lower_rate_does_not_extend_the_span() {
    assert_eq!(
        frames_in_slots(ConstantFrameRate::new(fps(15), None, 0), &constant(30, 0, 240), false).len(),
        120
    );
}

#[test]
fn a_source_that_ends_early_gets_no_repeated_frames_and_one_that_continues_fills_the_span() {
    let frames = constant(30, 0, 10);
    assert_eq!(
        frames_in_slots(ConstantFrameRate::new(fps(30), Some(30), 1_000_000), &frames, false).len(),
        10
    );
    assert_eq!(
        frames_in_slots(ConstantFrameRate::new(fps(30), Some(30), 1_000_000), &frames, true).len(),
        30
    );
}

#[test]
fn one_frame_gives_one_slot_and_no_frame_gives_none() {
    assert_eq!(
        frames_in_slots(ConstantFrameRate::new(fps(30), None, 0), &[(7, 0, 0)], false),
        [7]
    );
    assert_eq!(
        frames_in_slots(ConstantFrameRate::new(fps(30), None, 0), &[], false),
        [0; 0]
    );
}

#[test]
fn timestamps_in_milliseconds_drop_and_repeat_nothing() {
    let frames: Vec<_> = (0..300_u32)
        .map(|n| (n, i64::from(n * 1_000 / 30) * 1_000, 33_000))
        .collect();
    assert_eq!(
        frames_in_slots(ConstantFrameRate::new(fps(30), None, 0), &frames, false),
        (0..300).collect::<Vec<_>>()
    );
}

#[test]
fn a_discontinuity_of_an_hour_adds_no_frames() {
    let mut frames = constant(30, 0, 30);
    frames.extend(constant(30, 3_600_000_000, 30));
    assert_eq!(
        frames_in_slots(ConstantFrameRate::new(fps(30), None, 2_000_000), &frames, false).len(),
        60
    );
}

#[test]
fn one_wrong_timestamp_drops_no_other_frame() {
    for wrong in [4_000_000_000, -4_000_000_000] {
        let mut frames = constant(30, 0, 60);
        frames[30].1 = wrong;
        let slots = frames_in_slots(ConstantFrameRate::new(fps(30), None, 2_000_000), &frames, false);
        assert!(slots.len().abs_diff(60) <= 1, "{} slots", slots.len());
        assert_eq!(slots.last(), Some(&59));
    }
}

#[test]
fn a_frame_that_lasts_within_the_span_is_repeated() {
    let slots = frames_in_slots(
        ConstantFrameRate::new(fps(10), Some(300), 30_000_000),
        &[(0, 0, 1), (1, 25_000_000, 1)],
        true,
    );
    assert_eq!((slots.len(), slots[249], slots[250]), (300, 0, 1));
}
