//! Conversions between microseconds and time bases.

use ffmpeg_next::Rational;

/// The length of a picture where nothing tells it, in microseconds.
pub(crate) const DEFAULT_FRAME_INTERVAL_US: i64 = 40_000;

/// A time of a stream in microseconds, to the nearest.
pub(crate) fn to_us(time: i64, base: Rational) -> i64 {
    let (num, den) = (i128::from(base.numerator()), i128::from(base.denominator().max(1)));
    let scaled = i128::from(time) * num * 1_000_000;
    let rounded = (2 * scaled + den).div_euclid(2 * den);
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

/// Microseconds in units of a time base, rounded down to zero.
pub(crate) fn from_us(us: i64, base: Rational) -> i64 {
    let (num, den) = (i128::from(base.numerator().max(1)), i128::from(base.denominator()));
    i64::try_from(i128::from(us) * den / (num * 1_000_000)).unwrap_or(0)
}

/// A frame rate as a unit of time: the length of one frame.
pub(crate) fn frame_base(fps: domain::Rational) -> Rational {
    let fit = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    Rational::new(fit(fps.den), fit(fps.num))
}

/// Microseconds of a plan as signed ones; plans end long before the range does.
pub(crate) fn signed_us(us: u64) -> i64 {
    i64::try_from(us).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_times_are_rounded_to_microseconds() {
        let base = Rational::new(1, 30);
        assert_eq!(to_us(2, base), 66_667);
        assert_eq!(to_us(-1, base), -33_333);
        assert_eq!(to_us(i64::MAX, Rational::new(1_000, 1)), i64::MAX);
    }
}
