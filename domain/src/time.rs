//! Moments, spans and rates. Whole microseconds and whole fractions: no float survives the parser.

mod rational;

pub use rational::Rational;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{OneOfBuilder, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// A moment counted in microseconds from the first picture of the source.
///
/// On the wire: a number of seconds (`25.5`) or `HH:MM:SS.mmm` (`"00:00:05.000"`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timecode(u64);

impl Timecode {
    /// The latest moment that is accepted: 1,000 hours.
    pub const MAX: Self = Self(1_000 * 3_600 * 1_000_000);

    /// From microseconds.
    #[must_use]
    pub const fn from_us(us: u64) -> Self {
        Self(us)
    }

    /// From milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// Microseconds.
    #[must_use]
    pub const fn us(self) -> u64 {
        self.0
    }

    /// Milliseconds, rounded to the nearest.
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

/// Why a text is no time or no rate; the message carries the value and what is accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?}: expected {expected}")]
pub struct BadValue {
    /// What was given.
    pub value: String,
    /// What is accepted.
    pub expected: &'static str,
}

const TIME_SYNTAX: &str = "seconds (25.5) or HH:MM:SS.mmm, up to 1000 hours";

/// Reads a decimal number without going through a float: the whole part and millionths.
pub(crate) fn micros(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 9 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let mut padded: String = fraction.chars().take(6).collect();
    while padded.len() < 6 {
        padded.push('0');
    }
    Some(whole.parse::<u64>().ok()? * 1_000_000 + padded.parse::<u64>().ok()?)
}

impl FromStr for Timecode {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadValue {
            value: text.to_owned(),
            expected: TIME_SYNTAX,
        };
        let mut parts = text.split(':').rev();
        let seconds = parts.next().and_then(micros).ok_or_else(bad)?;
        let mut total = seconds;
        // The units come first: `zip` must not swallow a fourth part.
        for ((unit_us, below), part) in [(60_000_000, 60), (3_600_000_000, 1_001)]
            .into_iter()
            .zip(parts.by_ref())
        {
            let count: u64 = part.parse().ok().filter(|n| *n < below).ok_or_else(bad)?;
            total += count * unit_us;
        }
        let sexagesimal_overflow = text.contains(':') && seconds >= 60_000_000;
        if parts.next().is_some() || sexagesimal_overflow || total > Self::MAX.us() {
            return Err(bad());
        }
        Ok(Self(total))
    }
}

/// Reads a JSON number or text with the grammar of `T`, as people write them.
pub(crate) struct NumberOrText<T>(std::marker::PhantomData<T>);

impl<T> Default for NumberOrText<T> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<T: FromStr<Err = BadValue>> de::Visitor<'_> for NumberOrText<T> {
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
        // Rust prints the shortest decimal that reads back as the same float: 25.5 stays 25.5.
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

/// A span of source time; `end` is exclusive, and open when `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First moment kept.
    pub start: Timecode,
    /// First moment no longer kept.
    pub end: Option<Timecode>,
}

/// The OpenAPI schema of a value written as a number or as a text.
pub(crate) fn number_or_text(description: &str) -> RefOr<Schema> {
    let of = |kind| ObjectBuilder::new().schema_type(SchemaType::Type(kind)).build();
    let either = OneOfBuilder::new()
        .item(of(Type::Number))
        .item(of(Type::String))
        .description(Some(description));
    RefOr::T(Schema::OneOf(either.build()))
}

impl PartialSchema for Timecode {
    fn schema() -> RefOr<Schema> {
        number_or_text(TIME_SYNTAX)
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
    fn times_are_read_as_people_write_them() {
        for (text, us) in [
            ("0", 0),
            ("25.5", 25_500_000),
            ("00:00:05.000", 5_000_000),
            ("1:02:03.004", 3_723_004_000),
            ("90:00", 5_400_000_000),
            ("0.0333334", 33_333),
        ] {
            let read = text.parse::<Timecode>();
            if text == "90:00" {
                assert!(read.is_err(), "minutes end at 59");
            } else {
                assert_eq!(read, Ok(Timecode(us)), "{text}");
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
        fn a_time_survives_the_wire(us in 0..Timecode::MAX.us()) {
            let json = serde_json::to_string(&Timecode(us)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timecode>(&json).unwrap(), Timecode(us));
        }
    }
}
