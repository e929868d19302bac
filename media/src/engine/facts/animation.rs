//! The rate of an animated picture. Each of its pictures was given a time of its own, often one of a few that stand long
//! between others that do not: at their average rate some would be left out.

use crate::engine::{Cancel, measure};
use domain::{Failure, Rational};
use ffmpeg_next::format::context::Input;

/// A rate up to which every picture is kept, as players show it.
const SHOWN: f64 = 60.5;

/// An average of this part of the fastest rate is that of regular delays, which were rounded.
const REGULAR: f64 = 0.8;

/// Whether a file is an animated picture.
pub(super) fn is_animation(input: &Input) -> bool {
    matches!(input.format().name(), "gif" | "apng")
}

/// The rate at which every picture is shown: one that fits all delays where there is one, else the fastest, but for regular
/// delays their average.
pub(super) fn rate(
    input: &mut Input,
    index: usize,
    (average, base): (Option<Rational>, Option<Rational>),
    cancel: &Cancel,
) -> Result<Option<Rational>, Failure> {
    if let Some(base) = base.filter(|rate| rate.as_f64() <= SHOWN) {
        return Ok(Some(base));
    }
    let Some(fastest) = measure::fastest_rate(input, index, cancel)? else {
        return Ok(average);
    };
    let regular = average.filter(|average| average.as_f64() >= REGULAR * fastest.as_f64());
    Ok(Some(regular.unwrap_or(fastest)))
}
