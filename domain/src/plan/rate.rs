//! A constant frame rate for a source of any rate.

use crate::probe::VideoFacts;
use crate::time::Rational;
use std::ops::RangeInclusive;

/// Of a source that does not tell.
pub(super) const DEFAULT_FPS: Rational = Rational { num: 25, den: 1 };

/// Rates that cameras and players know.
const COMMON: [(u32, u32); 11] = [
    (24_000, 1_001),
    (24, 1),
    (25, 1),
    (30_000, 1_001),
    (30, 1),
    (50, 1),
    (60_000, 1_001),
    (60, 1),
    (15, 1),
    (120_000, 1_001),
    (120, 1),
];

/// Average rates of a source as parts of its base rate, at which the base rate is not that of its pictures: the rate of
/// fields, and film on the grid of NTSC by pulldown flags (ITU-T H.262 §6.3.10, `repeat_first_field`).
const FIELDS: RangeInclusive<f64> = 0.48..=0.52;
const PULLDOWN: RangeInclusive<f64> = 0.798..=0.802;

/// A source whose average is more than this part of its base rate has hardly a gap.
const STEADY: f64 = 0.985;

/// An average that differs by less than this part from a common rate is that rate.
const EXACT: f64 = 0.005;

/// A rate that was measured over a few pictures by a clock of milliseconds, or by a reader that looked at few, may be off by this part.
const MEASURED: f64 = 0.05;

/// A base rate is that of pictures when it lies in this range, in pictures a second.
const USUAL: RangeInclusive<f64> = 1.0..=60.5;

/// An average of about half of the base rate: that counts fields, or a part of the pictures is missing.
const HALF: RangeInclusive<f64> = 0.45..=0.55;

/// What is kept of the rate of a source, in pictures a second.
const MOST: f64 = 120.5;

/// What a camera may take in a second; more is a mistake of the file.
const CAMERA: f64 = 1_000.5;

/// Returns `true` when average and base rate do not determine the grid of the frames' timestamps, so that it has to be measured:
/// [`VideoFacts::regular_fps`].
#[must_use]
pub fn leaves_rate_open(facts: &VideoFacts) -> bool {
    facts.average_fps.zip(facts.base_fps).is_some_and(|(average, base)| {
        let part = average.as_f64() / base.as_f64();
        average.as_f64() >= 1.0 && part < STEADY && (HALF.contains(&part) || !USUAL.contains(&base.as_f64()))
    })
}

/// A constant rate for a source of any rate: its average, or where pictures are missing on the grid of its base rate (a
/// recording that pauses, a screen that stands still) the base rate, or the one that their times tell, at which no picture is
/// left out; snapped to a common rate within half a percent, 1 to 120. Of a faster one every second picture is kept, or every
/// third.
pub(super) fn constant_rate(facts: &VideoFacts) -> Rational {
    let sensible = |rate: &Rational| (1.0..=MOST).contains(&rate.as_f64());
    let moving = facts.base_fps.filter(|rate| USUAL.contains(&rate.as_f64()));
    let average = facts.average_fps.and_then(thinned).filter(sensible);
    let has_gaps = |base: &Rational| {
        average.is_some_and(|average| {
            let part = average.as_f64() / base.as_f64();
            part < STEADY && !FIELDS.contains(&part) && !(PULLDOWN.contains(&part) && base.as_f64() > 29.9)
        })
    };
    let regular = facts.regular_fps.filter(sensible);
    let regular = regular.filter(|regular| average.is_some_and(|average| average.as_f64() / regular.as_f64() < STEADY));
    let near = |rate: Rational| common(rate, EXACT);
    if let Some(regular) = regular {
        return near(regular).unwrap_or_else(|| short(regular));
    }
    let Some(rate) = moving
        .filter(has_gaps)
        .or(average)
        .or_else(|| facts.base_fps.and_then(thinned).filter(sensible))
    else {
        return DEFAULT_FPS;
    };
    // A gap may lead the average of a short file astray, and rounded times that of any.
    let base = moving.filter(|base| (STEADY..=1.0 + MEASURED).contains(&(rate.as_f64() / base.as_f64())));
    near(rate)
        .or_else(|| base.and_then(near))
        .unwrap_or_else(|| short(rate))
}

/// The nearest common rate, when it differs by less than a part.
fn common(rate: Rational, part: f64) -> Option<Rational> {
    let rates = COMMON.iter().filter_map(|(num, den)| Rational::new(*num, *den));
    let off = |other: &Rational| (other.as_f64() / rate.as_f64() - 1.0).abs();
    rates
        .min_by(|a, b| off(a).total_cmp(&off(b)))
        .filter(|nearest| off(nearest) < part)
}

/// A rate with small numbers.
fn short(rate: Rational) -> Rational {
    if rate.den <= 1_001 { rate } else { thousandths(rate) }
}

/// A whole part of a rate that is too high to be kept.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 9")]
fn thinned(rate: Rational) -> Option<Rational> {
    if rate.as_f64() <= MOST || rate.as_f64() > CAMERA {
        return Some(rate);
    }
    let every = (rate.as_f64() / MOST).ceil() as u32;
    Rational::new(rate.num, rate.den.checked_mul(every)?)
}

/// The nearest rate in thousandths: odd averages such as 1234567/41234 need no finer one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 120,500")]
fn thousandths(rate: Rational) -> Rational {
    Rational::new((rate.as_f64() * 1_000.0).round() as u32, 1_000).unwrap_or(DEFAULT_FPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(average_fps: Option<Rational>, base_fps: Option<Rational>) -> VideoFacts {
        let json = serde_json::json!({
            "width_px": 1280, "height_px": 720, "sample_aspect": "1/1", "quarter_turns": 0, "mirrored": false,
            "average_fps": average_fps, "base_fps": base_fps, "pixel_format": "yuv420p", "bit_depth": 8, "hdr": false,
            "interlaced": false, "duration_us": null, "full_range": false, "bitrate_bps": null, "dolby_only": false,
            "changes": false, "keyframes": null
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_rate_of_a_source_is_kept_snapped_or_thinned() {
        for (average, base, kept) in [
            ((30_000, 1_001), (30_000, 1_001), (30_000, 1_001)),
            ((29_980, 1_000), (30, 1), (30_000, 1_001)),
            ((1_234_567, 45_000), (90_000, 1), (27_435, 1_000)),
            ((120, 1), (120, 1), (120, 1)),
            ((144, 1), (144, 1), (72, 1)),
            ((240, 1), (240, 1), (120, 1)),
            ((240_000, 1_001), (240_000, 1_001), (120_000, 1_001)),
            ((960, 1), (960, 1), (120, 1)),
            ((5, 1), (30, 1), (30, 1)),
            // Pauses of half a second to four in a short recording.
            ((625, 28), (25, 1), (25, 1)),
            ((20, 1), (25, 1), (25, 1)),
            ((50, 3), (25, 1), (25, 1)),
            ((22_221, 1_000), (30, 1), (30, 1)),
            ((25, 1), (50, 1), (25, 1)),
            ((24_000, 1_001), (30_000, 1_001), (24_000, 1_001)),
            ((90_000, 1), (90_000, 1), (25, 1)),
            ((1, 10), (90_000, 1), (25, 1)),
            // Matroska that tells no length of a frame: FFmpeg averages times rounded to milliseconds.
            ((125, 2), (60_000, 1_001), (60_000, 1_001)),
            ((30_303, 1_000), (30_000, 1_001), (30_000, 1_001)),
            ((24_417, 1_000), (24_000, 1_001), (24_000, 1_001)),
        ] {
            let rate = |(num, den): (u32, u32)| Rational::new(num, den);
            let facts = facts(rate(average), rate(base));
            assert_eq!(Some(constant_rate(&facts)), rate(kept), "{average:?}");
        }
    }

    #[test]
    fn the_grid_of_the_pictures_counts_where_it_was_measured() {
        for (regular, kept) in [
            ((29_981, 1_000), (30_000, 1_001)),
            ((23_975, 1_000), (24_000, 1_001)),
            ((59_941, 1_000), (60_000, 1_001)),
            ((119_960, 1_000), (120, 1)),
            ((26, 1), (26, 1)),
            ((31_250, 1_000), (31_250, 1_000)),
            ((48, 1), (48, 1)),
            // More than is kept, and no more than the average.
            ((240, 1), (15, 1)),
            ((15_010, 1_000), (15, 1)),
        ] {
            let facts = VideoFacts {
                regular_fps: Rational::new(regular.0, regular.1),
                ..facts(Rational::new(15, 1), Rational::new(1_000, 1))
            };
            assert!(leaves_rate_open(&facts));
            assert_eq!(
                Some(constant_rate(&facts)),
                Rational::new(kept.0, kept.1),
                "{regular:?}"
            );
        }
        for (average, base) in [((30, 1), (30, 1)), ((20, 1), (30, 1)), ((1, 2), (1_000, 1))] {
            let rate = |(num, den): (u32, u32)| Rational::new(num, den);
            assert!(!leaves_rate_open(&facts(rate(average), rate(base))), "{average:?}");
        }
    }
}
