//! The key by which repeated rows are found.

use super::columns::Kind;
use crate::video::word;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Returns the text that makes a row unique within its import: two rows with the same text are duplicates. It is as
/// long as the row; callers store a digest of it.
///
/// The text is that of the external id where it identifies the video, else that of all fields. In a row of
/// [`Kind::Metadata`] with a `video_id`, the external id is a change, so it does not identify. The two forms begin
/// differently, so no external id looks like the fields of another row.
#[must_use]
pub fn row_key(kind: Kind, fields: &Map<String, Value>) -> String {
    let given = |field: &str| fields.get(field).filter(|value| !value.is_null());
    let identifies = kind == Kind::Videos || given("video_id").is_none();
    let external_id = given("external_id").filter(|_| identifies).and_then(Value::as_str);
    if let Some(external_id) = external_id.and_then(|text| word(text).ok()) {
        return format!("external_id:{external_id}");
    }
    // In a row of this kind a null is the same as an absent field.
    let is_absent = |value: &Value| kind == Kind::Videos && value.is_null();
    let present = fields.iter().filter(|field| !is_absent(field.1));
    let mut key = "fields:".to_owned();
    write_object(present, &mut key);
    key
}

/// Writes a value as JSON. The keys of objects are sorted, because a feature of `serde_json` that any crate can enable
/// keeps them in the order of the text.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(object) => write_object(object.iter(), text),
        Value::Array(values) => {
            text.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(value, text);
            }
            text.push(']');
        }
        value => text.push_str(&value.to_string()),
    }
}

fn write_object<'a>(fields: impl Iterator<Item = (&'a String, &'a Value)>, text: &mut String) {
    let sorted: BTreeMap<&String, &Value> = fields.collect();
    text.push('{');
    for (index, (key, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&Value::from(key.as_str()).to_string());
        text.push(':');
        write(value, text);
    }
    text.push('}');
}
