//! Videos: the entries of the library, and the rules for what their owners write into them.

use crate::task::TaskId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Maximum length of a title in characters.
pub const TITLE_CHARS: usize = 200;
/// Maximum length of a description in characters.
pub const DESCRIPTION_CHARS: usize = 5_000;
/// Maximum number of tags.
pub const TAGS: usize = 20;
/// Maximum length of a tag, a region and an external id in characters.
pub const WORD_CHARS: usize = 100;
/// Maximum size of the metadata as JSON text, in bytes.
pub const METADATA_BYTES: usize = 16 << 10;

/// The id of a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VideoId(pub i64);

impl fmt::Display for VideoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The error for a text that is not the id of a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidVideoId;

impl FromStr for VideoId {
    type Err = InvalidVideoId;

    /// Accepts the same texts as [`TaskId`]: not `01` or `+1`, so that a video has one path.
    fn from_str(text: &str) -> Result<Self, InvalidVideoId> {
        let TaskId(id) = text.parse::<TaskId>().map_err(|_| InvalidVideoId)?;
        Ok(Self(id))
    }
}

/// A field of a video that breaks a rule: the accepted values, in English.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("accepted: {0}")]
pub struct Accepted(&'static str);

/// Checks a title: trimmed, 1 to 200 characters in one line.
///
/// # Errors
/// The text is no title.
pub fn title(text: &str) -> Result<String, Accepted> {
    line(text, TITLE_CHARS).ok_or(Accepted("1 to 200 characters in one line"))
}

/// Checks a description: up to 5,000 characters. Line breaks and tabs are the only control characters.
///
/// # Errors
/// The text is no description.
pub fn description(text: &str) -> Result<String, Accepted> {
    let is_refused = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if text.chars().count() > DESCRIPTION_CHARS || text.contains(is_refused) {
        return Err(Accepted("up to 5000 characters"));
    }
    Ok(text.trim().to_owned())
}

/// Checks tags: up to 20, each trimmed and with 1 to 100 characters in one line, without commas, because lists of tags
/// are written with commas in manifests and queries. Repeated tags are dropped.
///
/// # Errors
/// One of the texts is no tag, or there are too many.
pub fn tags(texts: &[String]) -> Result<Vec<String>, Accepted> {
    let accepted = Accepted("up to 20 tags of 1 to 100 characters in one line, without commas");
    let mut tags: Vec<String> = Vec::new();
    for text in texts {
        let tag = line(text, WORD_CHARS)
            .filter(|tag| !tag.contains(','))
            .ok_or(accepted)?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    if tags.len() > TAGS {
        return Err(accepted);
    }
    Ok(tags)
}

/// Checks a region or an external id: trimmed, 1 to 100 characters in one line.
///
/// # Errors
/// The text is neither.
pub fn word(text: &str) -> Result<String, Accepted> {
    line(text, WORD_CHARS).ok_or(Accepted("1 to 100 characters in one line"))
}

/// Merges a patch into metadata (JSON merge patch, RFC 7396) and checks the result: an object of up to 16 KiB. NUL
/// characters are refused, because Postgres cannot store them.
///
/// # Errors
/// The result is too large or contains a NUL character.
pub fn merged_metadata(mut metadata: Value, patch: &Map<String, Value>) -> Result<Value, Accepted> {
    merge(&mut metadata, patch);
    let text = metadata.to_string();
    if text.len() > METADATA_BYTES || text.contains("\\u0000") {
        return Err(Accepted(
            "an object of up to 16384 bytes of JSON, without NUL characters",
        ));
    }
    Ok(metadata)
}

fn merge(target: &mut Value, patch: &Map<String, Value>) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(target) = target.as_object_mut() else { return };
    for (key, value) in patch {
        match value {
            Value::Null => drop(target.remove(key)),
            Value::Object(patch) => merge(target.entry(key.clone()).or_insert(Value::Null), patch),
            value => drop(target.insert(key.clone(), value.clone())),
        }
    }
}

/// The title of a new video: the name of its file without the extension.
#[must_use]
pub fn title_of_file(name: &str) -> String {
    let stem = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.trim().is_empty() && extension.len() <= 5 => stem,
        _ => name,
    };
    let readable: String = stem
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(TITLE_CHARS)
        .collect();
    match readable.trim() {
        "" => "video".to_owned(),
        title => title.to_owned(),
    }
}

/// The trimmed text, if it has 1 to `max` characters and no control character.
fn line(text: &str, max: usize) -> Option<String> {
    let text = text.trim();
    let is_line = !text.is_empty() && text.chars().count() <= max && !text.contains(char::is_control);
    is_line.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn titles_tags_and_words_are_single_lines_within_their_length() {
        assert_eq!(title("  El Niño "), Ok("El Niño".to_owned()));
        for refused in ["", "  ", "a\nb", "a\0b"] {
            assert!(title(refused).is_err() && word(refused).is_err(), "{refused:?}");
        }
        assert!(title(&"ñ".repeat(TITLE_CHARS)).is_ok() && title(&"ñ".repeat(TITLE_CHARS + 1)).is_err());
        let many: Vec<String> = (0..=TAGS).map(|tag| tag.to_string()).collect();
        assert!(tags(&many).is_err() && tags(&many[1..]).is_ok());
        assert_eq!(tags(&["a ".into(), "a".into(), "b c".into()]).unwrap(), ["a", "b c"]);
        assert!(tags(&["a,b".into()]).is_err());
    }

    #[test]
    fn an_id_is_written_in_one_way() {
        assert_eq!("7".parse(), Ok(VideoId(7)));
        for refused in ["", "07", "+7", " 7", "7.0", "-0", "9223372036854775808"] {
            assert_eq!(refused.parse::<VideoId>(), Err(InvalidVideoId), "{refused:?}");
        }
    }

    #[test]
    fn a_description_has_lines() {
        assert_eq!(description("one\ntwo\n").unwrap(), "one\ntwo");
        assert!(description("a\0").is_err() && description(&"x".repeat(DESCRIPTION_CHARS + 1)).is_err());
    }

    #[test]
    fn metadata_is_merged_as_rfc_7396_says_and_bounded() {
        let merged = |old: Value, patch: Value| merged_metadata(old, patch.as_object().unwrap());
        // From the examples in appendix A of the RFC.
        for (old, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (
                json!({"a": "foo"}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ] {
            assert_eq!(merged(old, patch.clone()), Ok(expected), "{patch}");
        }
        assert!(merged(json!({}), json!({ "a": "x".repeat(METADATA_BYTES) })).is_err());
        assert!(merged(json!({}), json!({ "a": "\0" })).is_err());
    }

    #[test]
    fn the_title_of_a_new_video_is_the_name_of_its_file() {
        for (name, title) in [
            ("holiday 2026.mp4", "holiday 2026"),
            (".mp4", ".mp4"),
            ("no extension", "no extension"),
            ("talk v1.2 final", "talk v1.2 final"),
            ("a.tar.gz", "a.tar"),
            ("", "video"),
            ("\u{7}.mov", "video"),
        ] {
            assert_eq!(title_of_file(name), title, "{name:?}");
        }
        assert_eq!(title_of_file(&"x".repeat(300)).chars().count(), TITLE_CHARS);
    }
}
