//! Conversions between microseconds and time bases. A timestamp in FFmpeg is an integer in units of the time base of
//! its stream, a fraction of a second such as 1/90000. Arithmetic is in `i128`, so that no timestamp of a file
//! overflows.

use ffmpeg_next::Rational;

/// Assumed duration of a frame in microseconds if the source specifies none (25 fps).
pub(crate) const DEFAULT_FRAME_INTERVAL_US: i64 = 40_000;

/// Converts a timestamp to microseconds, rounded to the nearest and clamped to `i64`.
pub(crate) fn to_us(timestamp: i64, time_base: Rational) -> i64 {
    let num = i128::from(time_base.numerator());
    let den = i128::from(time_base.denominator().max(1));
    let scaled = i128::from(timestamp) * num * 1_000_000;
    let rounded = (2 * scaled + den).div_euclid(2 * den);
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

/// Converts microseconds to units of a time base, rounded toward zero; 0 on overflow.
pub(crate) fn from_us(us: i64, time_base: Rational) -> i64 {
    let num = i128::from(time_base.numerator().max(1));
    let den = i128::from(time_base.denominator());
    i64::try_from(i128::from(us) * den / (num * 1_000_000)).unwrap_or(0)
}

/// Time base in which each frame of a constant frame rate lasts one unit.
pub(crate) fn frame_time_base(fps: domain::Rational) -> Rational {
    let clamp = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    Rational::new(clamp(fps.den), clamp(fps.num))
}

/// Converts unsigned microseconds of a plan to signed ones. Values beyond `i64`, which no plan contains, are clamped.
pub(crate) fn signed_us(us: u64) -> i64 {
    i64::try_from(us).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rounded_to_the_nearest_microsecond() {
        let base = Rational::new(1, 30);
        assert_eq!(to_us(2, base), 66_667);
        assert_eq!(to_us(-1, base), -33_333);
        assert_eq!(to_us(i64::MAX, Rational::new(1_000, 1)), i64::MAX);
    }
}
