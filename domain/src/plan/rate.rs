//! A constant frame rate for a source of any rate.

use crate::probe::VideoFacts;
use crate::time::Rational;

/// Of a source that does not tell.
pub(super) const DEFAULT_FPS: Rational = Rational { num: 25, den: 1 };

/// Rates that cameras and players know.
const COMMON: [(u32, u32); 10] = [
    (24_000, 1_001),
    (24, 1),
    (25, 1),
    (30_000, 1_001),
    (30, 1),
    (50, 1),
    (60_000, 1_001),
    (60, 1),
    (15, 1),
    (120, 1),
];

/// A source of less than this part of the rate at which it moves stands still for most of the time, as a recorded screen
/// does. Twice a rate means nothing: that of fields is told so.
const STILL: f64 = 0.45;

/// A constant rate for a source of any rate: its average, or where it mostly stands still the rate at which it moves,
/// snapped to a common rate within half a percent, 1 to 120.
pub(super) fn constant_rate(facts: &VideoFacts) -> Rational {
    let sensible = |rate: &Rational| (1.0..=120.5).contains(&rate.as_f64());
    let moving = facts.base_fps.filter(|rate| (1.0..=60.5).contains(&rate.as_f64()));
    let average = facts.average_fps.filter(sensible);
    let mostly_still = |rate: &Rational| average.is_some_and(|average| average.as_f64() < STILL * rate.as_f64());
    let Some(rate) = moving
        .filter(mostly_still)
        .or(average)
        .or_else(|| facts.base_fps.filter(sensible))
    else {
        return DEFAULT_FPS;
    };
    let common = COMMON.iter().filter_map(|(num, den)| Rational::new(*num, *den));
    let off = |other: &Rational| (other.as_f64() / rate.as_f64() - 1.0).abs();
    let nearest = common
        .min_by(|a, b| off(a).total_cmp(&off(b)))
        .filter(|nearest| off(nearest) < 0.005);
    nearest.unwrap_or(if rate.den <= 1_001 { rate } else { thousandths(rate) })
}

/// The nearest rate in thousandths: odd averages such as 1234567/41234 need no finer one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 120,500")]
fn thousandths(rate: Rational) -> Rational {
    Rational::new((rate.as_f64() * 1_000.0).round() as u32, 1_000).unwrap_or(DEFAULT_FPS)
}
