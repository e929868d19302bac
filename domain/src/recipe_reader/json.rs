//! Parses JSON text and rejects duplicate keys and nesting deeper than 32 levels.
//!
//! RFC 8259 §4 leaves the handling of duplicate keys to the parser: some use the first value, some the last. Either way
//! a part of the request would be ignored silently.

use super::{FieldError, truncated, typed};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;

/// Maximum nesting of objects and arrays; recipes need six levels.
const MAX_DEPTH: usize = 32;

/// Parses JSON text in UTF-8.
///
/// # Errors
/// A [`FieldError`] with an empty path if the text is not JSON or is nested deeper than 32 levels, and with the path of
/// the key if an object has a duplicate key.
pub fn json(text: &[u8]) -> Result<Value, FieldError> {
    let rejection = RefCell::new(None);
    let document = ValueParser {
        path: String::new(),
        depth: 0,
        rejection: &rejection,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let parsed = document
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    parsed.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let detail = if text.trim_ascii().is_empty() {
            "empty; accepted: JSON".to_owned()
        } else {
            format!("not JSON: line {line}, column {column}")
        };
        rejection.take().unwrap_or_else(|| FieldError::invalid("", detail))
    })
}

/// Parses the value at a path of the document.
struct ValueParser<'a> {
    path: String,
    /// Number of objects and arrays around the value.
    depth: usize,
    /// The [`FieldError`] that ended the parsing. An error of `serde_json` cannot carry it.
    rejection: &'a RefCell<Option<FieldError>>,
}

impl<'a> ValueParser<'a> {
    /// Returns the parser of an element: a key, or an index such as `[0]`.
    fn element(&self, key_or_index: &str) -> Self {
        Self {
            path: typed::joined(&self.path, key_or_index),
            depth: self.depth + 1,
            rejection: self.rejection,
        }
    }

    /// Rejects an array or an object that is nested too deeply. The parser is recursive; the limit protects its stack.
    fn check_depth<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.depth < MAX_DEPTH {
            return Ok(());
        }
        let detail = format!("nested deeper than {MAX_DEPTH} objects and lists; accepted: up to {MAX_DEPTH}");
        Err(self.reject(FieldError::invalid("", detail)))
    }

    fn reject<E: serde::de::Error>(&self, error: FieldError) -> E {
        self.rejection.replace(Some(error));
        E::custom("rejected")
    }
}

impl<'de> DeserializeSeed<'de> for ValueParser<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueParser<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut values = Vec::new();
        while let Some(value) = array.next_element_seed(self.element(&format!("[{}]", values.len())))? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut values = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            let element = self.element(&truncated(&key));
            if values.contains_key(&key) {
                let duplicate = FieldError::invalid(element.path.clone(), "given twice; accepted: once");
                return Err(self.reject(duplicate));
            }
            values.insert(key, object.next_value_seed(element)?);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_parsed_like_serde_json_does() {
        for text in [
            "null",
            "true",
            "-5",
            "18446744073709551615",
            "0.25",
            r#""\u00e9 \" x""#,
            r#" {"a":[1,{"b":null}],"c":{}} "#,
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(json(text.as_bytes()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn duplicate_keys_and_deep_nesting_are_rejected_with_their_path() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = |depth: usize| format!("{}0{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert!(json(deep(MAX_DEPTH).as_bytes()).is_ok() && json(objects(MAX_DEPTH).as_bytes()).is_ok());
        for (text, field, detail) in [
            (r#"{"a":1,"a":1}"#.to_owned(), "a", "given twice"),
            (
                r#"{"a":[{},{"b":{"c":1,"\u0063":2}}]}"#.to_owned(),
                "a[1].b.c",
                "given twice",
            ),
            (deep(MAX_DEPTH + 1), "", "nested deeper than 32"),
            (objects(MAX_DEPTH + 1), "", "nested deeper than 32"),
            (deep(60_000), "", "nested deeper than 32"),
            ("{".to_owned(), "", "not JSON: line 1, column 1"),
            ("[1] 2".to_owned(), "", "not JSON: line 1, column 5"),
            ("1e999".to_owned(), "", "not JSON: line 1"),
            (" \n".to_owned(), "", "empty; accepted: JSON"),
        ] {
            let error = json(text.as_bytes()).unwrap_err();
            assert_eq!(error.field, field, "{text:.80}");
            assert!(error.problem.detail().unwrap().starts_with(detail), "{error:?}");
        }
        assert!(json(b"\xff").is_err());
    }
}
