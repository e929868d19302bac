//! A line of JSONL as an object. A key that is there twice is an error on each level, because readers differ in the
//! value that they take.

use crate::error::{RecordError, shortened};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Parses a line.
pub(crate) fn object(line: &str) -> Result<Map<String, Value>, RecordError> {
    let object: Object = serde_json::from_str(line).map_err(|error| {
        let text = error.to_string();
        // The line is always 1, and the column is a field of its own.
        let reason = text
            .rsplit_once(" at line ")
            .map_or(text.as_str(), |(reason, _)| reason);
        RecordError::Json {
            column: error.column(),
            reason: shortened(reason),
        }
    })?;
    Ok(object.0)
}

struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Object, A::Error> {
        entries(access).map(Object)
    }
}

fn entries<'de, A: MapAccess<'de>>(mut access: A) -> Result<Map<String, Value>, A::Error> {
    let mut map = Map::new();
    while let Some(key) = access.next_key::<String>()? {
        if map.contains_key(&key) {
            return Err(A::Error::custom(format_args!(
                "the key `{}` is there twice",
                shortened(&key)
            )));
        }
        map.insert(key, access.next_value::<AnyValue>()?.0);
    }
    Ok(map)
}

struct AnyValue(Value);

impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = AnyValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<AnyValue, E> {
        Ok(AnyValue(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<AnyValue, E> {
        Ok(AnyValue(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<AnyValue, E> {
        Ok(AnyValue(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<AnyValue, E> {
        Ok(AnyValue(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<AnyValue, E> {
        Ok(AnyValue(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<AnyValue, E> {
        Ok(AnyValue(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<AnyValue, E> {
        Ok(AnyValue(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<AnyValue, A::Error> {
        let mut values = Vec::new();
        while let Some(AnyValue(value)) = access.next_element()? {
            values.push(value);
        }
        Ok(AnyValue(Value::Array(values)))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<AnyValue, A::Error> {
        entries(access).map(|map| AnyValue(Value::Object(map)))
    }
}
