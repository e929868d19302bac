//! Positive fractions.

use super::{InvalidValue, NumberOrText, micros, number_or_text};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

const SYNTAX: &str = "a positive number (24, 29.97) or fraction (30000/1001)";

/// A positive fraction, such as a frame rate in frames per second or a sample aspect ratio. Computing frame times with
/// a float would drift.
///
/// In JSON: a number (`24`, `"29.97"`) or a fraction (`"8/9"`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rational {
    /// Numerator.
    pub num: u32,
    /// Denominator, never 0.
    pub den: u32,
}

impl Rational {
    /// Returns `num / den` in lowest terms, or `None` if either is 0.
    #[must_use]
    pub fn new(num: u32, den: u32) -> Option<Self> {
        let (mut a, mut b) = (num, den);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        (num != 0 && den != 0).then(|| Self {
            num: num / a,
            den: den / a,
        })
    }

    /// Returns the nearest float, for comparisons with a tolerance.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    /// Returns the number of frames in `us` microseconds at this frame rate, rounded to the nearest.
    #[must_use]
    pub fn frames_in(self, us: u64) -> u64 {
        let scale = u128::from(self.den) * 1_000_000;
        let frames = (u128::from(us) * u128::from(self.num) + scale / 2) / scale;
        u64::try_from(frames).unwrap_or(u64::MAX)
    }

    /// Returns the duration of `frames` frames at this frame rate in microseconds, rounded to the nearest.
    #[must_use]
    pub fn duration_us(self, frames: u64) -> u64 {
        let num = u128::from(self.num);
        let us = (u128::from(frames) * u128::from(self.den) * 1_000_000 + num / 2) / num;
        u64::try_from(us).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 {
            write!(f, "{}", self.num)
        } else {
            write!(f, "{}/{}", self.num, self.den)
        }
    }
}

impl FromStr for Rational {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fraction = match text.split_once('/') {
            Some((num, den)) => num.parse().ok().zip(den.parse().ok()),
            None if text.contains('.') => micros(text)
                .and_then(|micros| u32::try_from(micros).ok())
                .map(|num| (num, 1_000_000)),
            None => text.parse().ok().map(|num| (num, 1)),
        };
        let parsed = fraction.and_then(|(num, den)| Self::new(num, den));
        parsed.ok_or_else(|| InvalidValue {
            value: text.to_owned(),
            expected: SYNTAX,
        })
    }
}

impl<'de> Deserialize<'de> for Rational {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrText::default())
    }
}

impl Serialize for Rational {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl PartialSchema for Rational {
    fn schema() -> RefOr<Schema> {
        number_or_text(SYNTAX)
    }
}

impl ToSchema for Rational {
    fn name() -> Cow<'static, str> {
        "Rational".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fractions_are_parsed_exactly() {
        assert_eq!("29.97".parse(), Ok(Rational { num: 2997, den: 100 }));
        assert_eq!(
            "30000/1001".parse::<Rational>().map(|r| r.duration_us(30_000)),
            Ok(1_001_000_000)
        );
        for text in ["0", "0/1", "24/0", "-24", "1e3", "4294967296", "x", ""] {
            assert!(text.parse::<Rational>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_fraction_is_unchanged_after_serialization(num in 1_u32.., den in 1_u32..) {
            let fraction = Rational::new(num, den).unwrap();
            let json = serde_json::to_string(&fraction).unwrap();
            prop_assert_eq!(serde_json::from_str::<Rational>(&json).unwrap(), fraction);
        }

        #[test]
        fn frame_counts_and_durations_convert_both_ways(frames in 0_u64..1_000_000, num in 1_u32..240_000, den in 1_u32..1_001) {
            let rate = Rational::new(num, den).unwrap();
            prop_assume!((1.0..=240.0).contains(&rate.as_f64()));
            prop_assert_eq!(rate.frames_in(rate.duration_us(frames)), frames);
        }
    }
}
