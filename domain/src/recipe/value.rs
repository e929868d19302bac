//! Values of a recipe that are parsed from a number or a text.

use crate::time::{InvalidValue, NumberOrText, Rational, micros};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use utoipa::openapi::schema::{Object, OneOfBuilder, Type};

/// A frame rate. In JSON: `keep`, or frames per second as a number or a fraction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fps {
    /// The rate of the source; a variable rate becomes the nearest constant one.
    #[default]
    Keep,
    /// This many frames per second.
    Fixed(Rational),
}

impl Fps {
    /// The largest accepted rate.
    pub(crate) const MAX: u32 = 240;
    /// The accepted values.
    pub(crate) const SYNTAX: &str = "keep, a number (24) or a fraction (30000/1001) from 1 to 240";
}

impl FromStr for Fps {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text == "keep" {
            return Ok(Self::Keep);
        }
        let rate = text.parse().ok();
        let is_accepted =
            |rate: &Rational| (1.0..=f64::from(Self::MAX)).contains(&rate.as_f64()) && rate.den <= 1_000_000;
        rate.filter(is_accepted).map(Self::Fixed).ok_or_else(|| InvalidValue {
            value: text.to_owned(),
            expected: Self::SYNTAX,
        })
    }
}

impl Serialize for Fps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep => serializer.serialize_str("keep"),
            Self::Fixed(rate) => rate.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Fps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrText::default())
    }
}

/// An aspect ratio, such as `16:9`; both numbers 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aspect {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

impl FromStr for Aspect {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let side = |t: &str| t.parse().ok().filter(|n| (1..=100).contains(n));
        let parsed = text.split_once(':').and_then(|(w, h)| {
            Some(Self {
                width: side(w)?,
                height: side(h)?,
            })
        });
        parsed.ok_or_else(|| InvalidValue {
            value: text.to_owned(),
            expected: "W:H, both 1 to 100, such as 16:9",
        })
    }
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.width, self.height)
    }
}

/// A name of an image, a preset or an output, built in or given by a user: 1 to 40 lower-case letters, digits and
/// hyphens, not beginning with a hyphen. It is safe as a part of a file name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of the built-in image.
    #[must_use]
    pub fn logo() -> Self {
        Self("logo".to_owned())
    }
}

impl FromStr for Name {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=40).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidValue {
                value: text.to_owned(),
                expected: "1 to 40 of a-z, 0-9 and -, not a - first",
            })
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Implements `Serialize` and `Deserialize` by `Display` and `FromStr`.
macro_rules! serialize_as_text {
    ($($type:ty),+) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
pub(super) use serialize_as_text;
serialize_as_text!(Aspect, Name);

/// An opacity in steps of 0.01. In JSON: a number from 0 (transparent) to 1 (opaque).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opacity {
    /// The opacity in percent, 0 to 100.
    pub percent: u32,
}

impl Default for Opacity {
    fn default() -> Self {
        Self { percent: 100 }
    }
}

impl FromStr for Opacity {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let percent = micros(text).map(|micros| micros / 10_000).filter(|p| *p <= 100);
        let percent = percent.and_then(|p| u32::try_from(p).ok());
        let invalid = || InvalidValue {
            value: text.to_owned(),
            expected: "0 to 1",
        };
        percent.map(|percent| Self { percent }).ok_or_else(invalid)
    }
}

impl Serialize for Opacity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.percent) / 100.0)
    }
}

impl<'de> Deserialize<'de> for Opacity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrText::default())
    }
}

/// Implements the OpenAPI schemas of the values.
macro_rules! schema_of {
    ($($type:ident => $schema:expr),+ $(,)?) => {$(
        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                $schema.into()
            }
        }
        impl utoipa::ToSchema for $type {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
        }
    )+};
}
pub(super) use schema_of;
schema_of!(
    Fps => OneOfBuilder::new()
        .item(Object::builder().schema_type(Type::Number).minimum(Some(1)).maximum(Some(Self::MAX)))
        .item(Object::builder().schema_type(Type::String).pattern(Some("^(keep|[0-9]+([./][0-9]*)?)$")))
        .description(Some("\"keep\", a number (24) or a fraction (30000/1001) of frames per second, 1 to 240")),
    Aspect => Object::builder().schema_type(Type::String).examples(["16:9"]).description(Some("Aspect ratio, both numbers 1 to 100.")),
    Name => Object::builder().schema_type(Type::String).pattern(Some("^[a-z0-9][a-z0-9-]{0,39}$"))
        .description(Some("1 to 40 of a-z, 0-9 and -, not a - first.")),
    Opacity => Object::builder().schema_type(Type::Number).minimum(Some(0)).maximum(Some(1))
        .description(Some("0 (transparent) to 1 (opaque), in steps of 0.01.")),
);
