//! The requested renditions of an adaptive stream. [`crate::plan()`] derives the rungs from them.

use serde::de::value::SeqAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{OneOfBuilder, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// The renditions of an adaptive stream. In JSON: `"auto"` or a list of shorter sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ladder {
    /// The standard sizes (2160p to 240p) up to the size of the source.
    #[default]
    Auto,
    /// 1 to 8 shorter sides in pixels, each 16 to 8192: 720 is "720p", landscape or portrait. Sides above that of the
    /// source are reduced to it.
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
        deserializer.deserialize_any(LadderVisitor)
    }
}

struct LadderVisitor;

impl<'de> de::Visitor<'de> for LadderVisitor {
    type Value = Ladder;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Ladder, E> {
        if text == AUTO {
            Ok(Ladder::Auto)
        } else {
            Err(E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, sides: A) -> Result<Ladder, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(sides)).map(Ladder::ShortSides)
    }
}

impl PartialSchema for Ladder {
    fn schema() -> RefOr<Schema> {
        let auto = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([AUTO]));
        let side = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(16))
            .maximum(Some(8_192));
        let sides = ArrayBuilder::new().items(side).min_items(Some(1)).max_items(Some(8));
        let one_of = OneOfBuilder::new().item(auto).item(sides).description(Some(EXPECTED));
        RefOr::T(Schema::OneOf(one_of.build()))
    }
}

impl ToSchema for Ladder {
    fn name() -> Cow<'static, str> {
        "Ladder".into()
    }
}
