//! Parses JSON text; refuses a name that an object has twice, and nesting deeper than 32.
//!
//! RFC 8259 §4 leaves to readers what they make of names that repeat; of `{"start":1,"start":2}` one reader takes the first and
//! another the last, and either way a wish of the client is lost without a word.

use super::{FieldError, brief, typed};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;

/// Objects and lists in one another; recipes need six.
const MAX_DEPTH: usize = 32;

/// Reads JSON of UTF-8.
///
/// # Errors
/// A [`FieldError`] with an empty path when the text is not JSON or is nested deeper than 32 levels, and with the path of the key
/// when a key is given twice.
pub fn json(text: &[u8]) -> Result<Value, FieldError> {
    let fault = RefCell::new(None);
    let whole = Place {
        path: String::new(),
        depth: 0,
        fault: &fault,
    };
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = whole
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let no_json = || FieldError::invalid("", format!("no JSON from line {line}, column {column} on"));
        fault.take().unwrap_or_else(no_json)
    })
}

/// A value that is read next.
struct Place<'a> {
    path: String,
    /// Objects and lists around it.
    depth: usize,
    /// The fault that ended the reading, when it is one of ours.
    fault: &'a RefCell<Option<FieldError>>,
}

impl<'a> Place<'a> {
    fn below(&self, step: &str) -> Self {
        Self {
            path: typed::joined(&self.path, step),
            depth: self.depth + 1,
            fault: self.fault,
        }
    }

    /// Refuses to enter a list or an object that lies too deep.
    fn check_depth<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.depth < MAX_DEPTH {
            return Ok(());
        }
        let why = format!("nested deeper than {MAX_DEPTH} objects and lists; accepted: up to {MAX_DEPTH}");
        Err(self.refuse(FieldError::invalid("", why)))
    }

    fn refuse<E: serde::de::Error>(&self, fault: FieldError) -> E {
        self.fault.replace(Some(fault));
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self.below(&format!("[{}]", values.len())))? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut values = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            let place = self.below(&brief(&key));
            if values.contains_key(&key) {
                let twice = FieldError::invalid(place.path.clone(), "given twice; accepted: once");
                return Err(self.refuse(twice));
            }
            values.insert(key, object.next_value_seed(place)?);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_as_it_stands() {
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
    fn a_key_given_twice_and_endless_nesting_are_refused_by_their_place() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = |depth: usize| format!("{}0{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert!(json(deep(MAX_DEPTH).as_bytes()).is_ok() && json(objects(MAX_DEPTH).as_bytes()).is_ok());
        for (text, field, why) in [
            (r#"{"a":1,"a":1}"#.to_owned(), "a", "given twice"),
            (
                r#"{"a":[{},{"b":{"c":1,"\u0063":2}}]}"#.to_owned(),
                "a[1].b.c",
                "given twice",
            ),
            (deep(MAX_DEPTH + 1), "", "nested deeper than 32"),
            (objects(MAX_DEPTH + 1), "", "nested deeper than 32"),
            (deep(60_000), "", "nested deeper than 32"),
            ("{".to_owned(), "", "no JSON from line 1, column 1 on"),
            ("[1] 2".to_owned(), "", "no JSON from line 1, column 5 on"),
            ("1e999".to_owned(), "", "no JSON from line 1"),
        ] {
            let fault = json(text.as_bytes()).unwrap_err();
            assert_eq!(fault.field, field, "{text:.80}");
            assert!(fault.problem.detail().unwrap().starts_with(why), "{fault:?}");
        }
        assert!(json(b"\xff").is_err());
    }
}
