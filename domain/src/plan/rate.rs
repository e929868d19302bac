//! The constant frame rate of the outputs.
//!
//! *Problem.* Containers have two rates: the average, which gaps lower and rounded timestamps distort, and the base
//! rate (`r_frame_rate`), which counts fields for some streams and is the rate of the timestamps for others. Phones and
//! screen recorders write variable rates. Outputs need one constant rate at which no frame is lost.
//!
//! *Mechanism.* [`constant_rate`] chooses a source of the rate, in this order:
//!
//! 1. the rate measured within the continuous parts of the stream, if the probe measured it ([`leaves_rate_open`]);
//! 2. the base rate, if the average is lower because frames are missing (a recording that pauses, a still screen);
//! 3. the average rate.
//!
//! Rates above 120 fps are divided by a whole number. The result is rounded to a common rate if one is near.

use crate::probe::VideoFacts;
use crate::time::Rational;
use std::ops::RangeInclusive;

/// The frame rate for a source without a usable rate.
pub(super) const DEFAULT_FPS: Rational = Rational { num: 25, den: 1 };

/// Common frame rates of cameras and players.
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

/// Ratio of average to base rate if the base rate counts fields.
const FIELD_RATIO: RangeInclusive<f64> = 0.48..=0.52;

/// Ratio of average to base rate of 24 fps film in 30 fps NTSC by pulldown flags (ITU-T H.262 §6.3.10,
/// `repeat_first_field`).
const PULLDOWN_RATIO: RangeInclusive<f64> = 0.798..=0.802;

/// Minimum ratio of average to base rate of a stream without noticeable gaps.
const MIN_STEADY_RATIO: f64 = 0.985;

/// Maximum relative difference from a common rate that is rounded.
const ROUNDING: f64 = 0.005;

/// Maximum relative error of an average over few frames, or over timestamps in milliseconds.
const AVERAGE_ERROR: f64 = 0.05;

/// Base rates that can be frame rates, in frames per second. Higher ones are usually the resolution of the timestamps.
const PLAUSIBLE_BASE: RangeInclusive<f64> = 1.0..=60.5;

/// Ratio of average to base rate that is ambiguous: the base rate counts fields, or half of the frames are missing.
const AMBIGUOUS_RATIO: RangeInclusive<f64> = 0.45..=0.55;

/// Maximum frame rate of an output, with a tolerance.
const MAX_FPS: f64 = 120.5;

/// Maximum frame rate of a camera, with a tolerance. Higher rates are errors of the file.
const MAX_CAMERA_FPS: f64 = 1_000.5;

/// Returns `true` if average and base rate are inconclusive, so that the probe has to measure
/// [`VideoFacts::regular_fps`].
#[must_use]
pub fn leaves_rate_open(facts: &VideoFacts) -> bool {
    facts.average_fps.zip(facts.base_fps).is_some_and(|(average, base)| {
        let ratio = average.as_f64() / base.as_f64();
        let is_ambiguous = AMBIGUOUS_RATIO.contains(&ratio) || !PLAUSIBLE_BASE.contains(&base.as_f64());
        average.as_f64() >= 1.0 && ratio < MIN_STEADY_RATIO && is_ambiguous
    })
}

/// Returns the constant frame rate for a source, from 1 to 120 frames per second.
pub(super) fn constant_rate(facts: &VideoFacts) -> Rational {
    let is_accepted = |rate: &Rational| (1.0..=MAX_FPS).contains(&rate.as_f64());
    let base = facts.base_fps.filter(|rate| PLAUSIBLE_BASE.contains(&rate.as_f64()));
    let average = facts.average_fps.and_then(divided).filter(is_accepted);
    let has_gaps = |base: &Rational| {
        average.is_some_and(|average| {
            let ratio = average.as_f64() / base.as_f64();
            let is_pulldown = PULLDOWN_RATIO.contains(&ratio) && base.as_f64() > 29.9;
            ratio < MIN_STEADY_RATIO && !FIELD_RATIO.contains(&ratio) && !is_pulldown
        })
    };
    // A measured rate that is not above the average is no sign of gaps.
    let measured = facts.regular_fps.filter(is_accepted);
    let with_gaps = measured
        .filter(|measured| average.is_some_and(|average| average.as_f64() / measured.as_f64() < MIN_STEADY_RATIO));
    if let Some(measured) = with_gaps {
        return nearest_common(measured).unwrap_or_else(|| simplified(measured));
    }
    let Some(rate) = base
        .filter(has_gaps)
        .or(average)
        .or_else(|| facts.base_fps.and_then(divided).filter(is_accepted))
    else {
        return DEFAULT_FPS;
    };
    // The average may be wrong because of a gap in a short file or because of rounded timestamps. The base rate is the
    // better one if it is near.
    let near_base = base.filter(|base| {
        let ratio = rate.as_f64() / base.as_f64();
        (MIN_STEADY_RATIO..=1.0 + AVERAGE_ERROR).contains(&ratio)
    });
    // Single missing frames make the average a little too low. At such a rate, other frames would be dropped.
    let of_grid = [measured, near_base].into_iter().flatten();
    let mut of_grid = of_grid.filter(|grid| (MIN_STEADY_RATIO..1.0).contains(&(rate.as_f64() / grid.as_f64())));
    nearest_common(rate)
        .or_else(|| near_base.and_then(nearest_common))
        .or_else(|| {
            of_grid
                .next()
                .map(|grid| nearest_common(grid).unwrap_or_else(|| simplified(grid)))
        })
        .unwrap_or_else(|| simplified(rate))
}

/// Returns the nearest common rate if it is near enough.
fn nearest_common(rate: Rational) -> Option<Rational> {
    let rates = COMMON.iter().filter_map(|(num, den)| Rational::new(*num, *den));
    let difference = |other: &Rational| (other.as_f64() / rate.as_f64() - 1.0).abs();
    rates
        .min_by(|a, b| difference(a).total_cmp(&difference(b)))
        .filter(|nearest| difference(nearest) < ROUNDING)
}

/// Rounds a rate to thousandths, unless its denominator is small already.
fn simplified(rate: Rational) -> Rational {
    if rate.den <= 1_001 { rate } else { thousandths(rate) }
}

/// Divides a rate above the maximum by the smallest sufficient whole number, so that every second (third, …) frame is
/// kept. Rates that no camera has are returned as they are; they are rejected later.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 9")]
fn divided(rate: Rational) -> Option<Rational> {
    if rate.as_f64() <= MAX_FPS || rate.as_f64() > MAX_CAMERA_FPS {
        return Some(rate);
    }
    let divisor = (rate.as_f64() / MAX_FPS).ceil() as u32;
    Rational::new(rate.num, rate.den.checked_mul(divisor)?)
}

/// Rounds a rate to thousandths. Averages such as 1234567/41234 have no meaningful precision beyond that.
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
    fn the_rate_of_a_source_is_kept_rounded_or_divided() {
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
            // A short recording with pauses of 0.5 to 4 s.
            ((625, 28), (25, 1), (25, 1)),
            ((20, 1), (25, 1), (25, 1)),
            ((50, 3), (25, 1), (25, 1)),
            ((22_221, 1_000), (30, 1), (30, 1)),
            ((25, 1), (50, 1), (25, 1)),
            ((24_000, 1_001), (30_000, 1_001), (24_000, 1_001)),
            ((90_000, 1), (90_000, 1), (25, 1)),
            ((1, 10), (90_000, 1), (25, 1)),
            // Matroska without a default frame duration: FFmpeg averages timestamps in milliseconds.
            ((125, 2), (60_000, 1_001), (60_000, 1_001)),
            ((30_303, 1_000), (30_000, 1_001), (30_000, 1_001)),
            ((24_417, 1_000), (24_000, 1_001), (24_000, 1_001)),
            // Single missing frames.
            ((297, 10), (30, 1), (30, 1)),
            ((258, 10), (26, 1), (26, 1)),
            ((1_235, 100), (25, 2), (25, 2)),
        ] {
            let rate = |(num, den): (u32, u32)| Rational::new(num, den);
            let facts = facts(rate(average), rate(base));
            assert_eq!(Some(constant_rate(&facts)), rate(kept), "{average:?}");
        }
    }

    #[test]
    fn a_measured_rate_is_preferred() {
        for (measured, kept) in [
            ((29_981, 1_000), (30_000, 1_001)),
            ((23_975, 1_000), (24_000, 1_001)),
            ((59_941, 1_000), (60_000, 1_001)),
            ((119_960, 1_000), (120, 1)),
            ((26, 1), (26, 1)),
            ((31_250, 1_000), (31_250, 1_000)),
            ((48, 1), (48, 1)),
            // Above the maximum, and not above the average.
            ((240, 1), (15, 1)),
            ((15_010, 1_000), (15, 1)),
        ] {
            let facts = VideoFacts {
                regular_fps: Rational::new(measured.0, measured.1),
                ..facts(Rational::new(15, 1), Rational::new(1_000, 1))
            };
            assert!(leaves_rate_open(&facts));
            assert_eq!(
                Some(constant_rate(&facts)),
                Rational::new(kept.0, kept.1),
                "{measured:?}"
            );
        }
        let single_gaps = VideoFacts {
            regular_fps: Rational::new(30_003, 1_000),
            ..facts(Rational::new(297, 10), Rational::new(1_000, 1))
        };
        assert_eq!(Some(constant_rate(&single_gaps)), Rational::new(30, 1));
        for (average, base) in [((30, 1), (30, 1)), ((20, 1), (30, 1)), ((1, 2), (1_000, 1))] {
            let rate = |(num, den): (u32, u32)| Rational::new(num, den);
            assert!(!leaves_rate_open(&facts(rate(average), rate(base))), "{average:?}");
        }
    }
}
