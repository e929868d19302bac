//! Times, spans and rates, in whole microseconds and whole fractions. Floats would accumulate rounding errors.

mod rational;

pub use rational::Rational;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{OneOfBuilder, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// A time in microseconds after the beginning of the source.
///
/// In JSON: a number of seconds (`25.5`), `M:SS` (`"1:30"`) or `HH:MM:SS.mmm` (`"00:00:05.000"`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timecode(u64);

impl Timecode {
    /// The largest accepted time: 1,000 hours.
    pub const MAX: Self = Self(1_000 * 3_600 * 1_000_000);

    /// Converts from microseconds.
    #[must_use]
    pub const fn from_us(us: u64) -> Self {
        Self(us)
    }

    /// Converts from milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// Returns the time in microseconds.
    #[must_use]
    pub const fn us(self) -> u64 {
        self.0
    }

    /// Returns the time in milliseconds, rounded to the nearest.
    #[must_use]
    pub const fn ms(self) -> u64 {
        (self.0 + 500) / 1_000
    }
}

impl fmt::Display for Timecode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.ms();
        let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
        write!(f, "{hours:02}:{minutes:02}:{seconds:02}.{:03}", ms % 1_000)
    }
}

/// The error of a value that cannot be parsed, such as a time or a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?}: expected {expected}")]
pub struct InvalidValue {
    /// The given text.
    pub value: String,
    /// The accepted syntax.
    pub expected: &'static str,
}

const TIMECODE_SYNTAX: &str = "seconds (25.5), M:SS or HH:MM:SS.mmm, up to 1000 hours";

/// Parses a decimal number into millionths without a float. Digits after the sixth decimal place are cut off.
///
/// Returns `None` for signs, exponents, and whole parts of more than nine digits.
pub(crate) fn micros(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 9 || !is_numeric(whole) || !is_numeric(fraction) {
        return None;
    }
    let mut padded: String = fraction.chars().take(6).collect();
    while padded.len() < 6 {
        padded.push('0');
    }
    Some(whole.parse::<u64>().ok()? * 1_000_000 + padded.parse::<u64>().ok()?)
}

impl FromStr for Timecode {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidValue {
            value: text.to_owned(),
            expected: TIMECODE_SYNTAX,
        };
        let mut parts = text.split(':').rev();
        let seconds_us = parts.next().and_then(micros).ok_or_else(invalid)?;
        let mut total_us = seconds_us;
        // `zip` takes from its left side first. With the units on the left, a fourth part stays in `parts` and is
        // rejected below.
        for ((unit_us, below), part) in [(60_000_000, 60), (3_600_000_000, 1_001)]
            .into_iter()
            .zip(parts.by_ref())
        {
            let count: u64 = part.parse().ok().filter(|n| *n < below).ok_or_else(invalid)?;
            total_us += count * unit_us;
        }
        let has_60_seconds = text.contains(':') && seconds_us >= 60_000_000;
        if parts.next().is_some() || has_60_seconds || total_us > Self::MAX.us() {
            return Err(invalid());
        }
        Ok(Self(total_us))
    }
}

/// Deserializes a `T` from a JSON number or string by parsing its text.
pub(crate) struct NumberOrText<T>(std::marker::PhantomData<T>);

impl<T> Default for NumberOrText<T> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<T: FromStr<Err = InvalidValue>> de::Visitor<'_> for NumberOrText<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a text")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        value.to_string().parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        value.to_string().parse().map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        // `Display` of floats is the shortest decimal that parses to the same float, so 25.5 stays 25.5.
        value.to_string().parse().map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<T, E> {
        value.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Timecode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrText::default())
    }
}

impl Serialize for Timecode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (whole, rest) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let text = if rest == 0 {
            whole.to_string()
        } else {
            format!("{whole}.{rest:06}")
        };
        serde_json::from_str::<serde_json::Number>(&text)
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

/// A span of time; the end is exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Start.
    pub start: Timecode,
    /// End, exclusive; `None` is the end of the source.
    pub end: Option<Timecode>,
}

/// Returns the OpenAPI schema of a value that is a number or a string.
pub(crate) fn number_or_text(description: &str) -> RefOr<Schema> {
    let of_type = |kind| ObjectBuilder::new().schema_type(SchemaType::Type(kind)).build();
    let one_of = OneOfBuilder::new()
        .item(of_type(Type::Number))
        .item(of_type(Type::String))
        .description(Some(description));
    RefOr::T(Schema::OneOf(one_of.build()))
}

impl PartialSchema for Timecode {
    fn schema() -> RefOr<Schema> {
        number_or_text(TIMECODE_SYNTAX)
    }
}

impl ToSchema for Timecode {
    fn name() -> Cow<'static, str> {
        "Timecode".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_parsed_from_seconds_and_clock_notation() {
        for (text, us) in [
            ("0", 0),
            ("25.5", 25_500_000),
            ("00:00:05.000", 5_000_000),
            ("1:02:03.004", 3_723_004_000),
            ("90:00", 5_400_000_000),
            ("0.0333334", 33_333),
        ] {
            let parsed = text.parse::<Timecode>();
            if text == "90:00" {
                assert!(parsed.is_err(), "minutes end at 59");
            } else {
                assert_eq!(parsed, Ok(Timecode(us)), "{text}");
            }
        }
        for text in [
            "",
            "-1",
            "1:2:3:4",
            "00:60",
            "1e9",
            "00:00:61",
            "9999999999",
            "NaN",
            "1:",
            "٣",
        ] {
            assert!(text.parse::<Timecode>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_time_is_unchanged_after_serialization(us in 0..Timecode::MAX.us()) {
            let json = serde_json::to_string(&Timecode(us)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timecode>(&json).unwrap(), Timecode(us));
        }
    }
}
