//! The renditions of an adaptive stream, as a user asks for them.

use serde::de::value::SeqAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{OneOfBuilder, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// Which renditions are made. On the wire `"auto"` or a list of shorter sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ladder {
    /// The usual steps up to the size of the source.
    #[default]
    Auto,
    /// Shorter sides in pixels, 1 to 8 of them, each 16 to 8192: 720 is "720p", landscape or portrait. Those above the
    /// source become the size of the source.
    ShortSides(Vec<u32>),
}

const AUTO: &str = "auto";
const EXPECTED: &str = "\"auto\" or a list of shorter sides in pixels, such as [1080, 720, 480]";

impl Serialize for Ladder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str(AUTO),
            Self::ShortSides(sides) => sides.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Ladder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

struct Either;

impl<'de> de::Visitor<'de> for Either {
    type Value = Ladder;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Ladder, E> {
        if word == AUTO {
            Ok(Ladder::Auto)
        } else {
            Err(E::invalid_value(de::Unexpected::Str(word), &self))
        }
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, sides: A) -> Result<Ladder, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(sides)).map(Ladder::ShortSides)
    }
}

impl PartialSchema for Ladder {
    fn schema() -> RefOr<Schema> {
        let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([AUTO]));
        let side = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(16))
            .maximum(Some(8_192));
        let sides = ArrayBuilder::new().items(side).min_items(Some(1)).max_items(Some(8));
        let either = OneOfBuilder::new().item(word).item(sides).description(Some(EXPECTED));
        RefOr::T(Schema::OneOf(either.build()))
    }
}

impl ToSchema for Ladder {
    fn name() -> Cow<'static, str> {
        "Ladder".into()
    }
}
