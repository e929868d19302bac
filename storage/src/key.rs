//! Storage keys: `sources/{uuid}`, `images/{user}/{uuid}`, `outputs/{task}/{attempt}/{file}`,
//! `searches/{day}/{user}/{uuid}/{file}` and `uploads/{source}/{uuid}`.
//!
//! All keys are constructed or validated here, so no key can leave its prefix (path traversal).

use crate::search_id::SearchId;
use domain::task::{TaskId, UserId};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// The first segment of the keys of outputs.
pub(crate) const OUTPUTS: &str = "outputs";

/// The first segment of the keys of the tails of unfinished uploads.
const UPLOADS: &str = "uploads";

/// The first segment of the keys of searches in the background.
const SEARCHES: &str = "searches";

const MAX_FILE_NAME_BYTES: usize = 255;
const MAX_FILE_NAME_DEPTH: usize = 4;

/// The key of one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

/// The common prefix of a set of files or of all files of an attempt. It ends in `/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prefix(String);

/// The stored files that a row refers to: one object or a set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// One object.
    Object(Key),
    /// All objects with the prefix.
    Set(Prefix),
}

/// The relative name of an output file: one to four segments of `[A-Za-z0-9._-]`, separated by `/`, at most 255 bytes
/// in all. No segment starts with `.` or `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileName(String);

/// The error for a text that is not a valid key or file name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is no {expected}")]
pub struct InvalidKey {
    /// The text, cut to 300 characters.
    pub value: String,
    /// The name of the accepted format.
    pub expected: &'static str,
}

impl Key {
    /// The key of an uploaded file.
    #[must_use]
    pub fn source(id: Uuid) -> Self {
        Self(format!("sources/{}", id.hyphenated()))
    }

    /// The key of the bytes behind the last whole part of an unfinished source.
    pub(crate) fn upload_tail(source: &Self, id: Uuid) -> Self {
        Self(format!("{}{}", source.upload_tails().0, id.hyphenated()))
    }

    /// The prefix of all tails of an unfinished source.
    #[must_use]
    pub fn upload_tails(&self) -> Prefix {
        let source = self.0.strip_prefix("sources/").unwrap_or(&self.0);
        Prefix(format!("{UPLOADS}/{source}/"))
    }

    /// The key of an image of an account.
    #[must_use]
    pub fn image(user: UserId, id: Uuid) -> Self {
        Self(format!("images/{user}/{}", id.hyphenated()))
    }

    /// The key of an output file of an attempt.
    #[must_use]
    pub fn output(task: TaskId, attempt: i32, file: &FileName) -> Self {
        Self(format!("{OUTPUTS}/{task}/{attempt}/{file}"))
    }

    /// The prefix of an output of an attempt that is a set of files.
    #[must_use]
    pub fn output_set(task: TaskId, attempt: i32, name: &FileName) -> Prefix {
        Prefix(format!("{OUTPUTS}/{task}/{attempt}/{name}/"))
    }

    /// The prefix of all output files of an attempt.
    #[must_use]
    pub fn attempt_prefix(task: TaskId, attempt: i32) -> Prefix {
        Prefix(format!("{OUTPUTS}/{task}/{attempt}/"))
    }

    /// The key of the request of a search in the background.
    #[must_use]
    pub fn search_request(user: UserId, id: SearchId) -> Self {
        Self(format!("{SEARCHES}/{}/{user}/{id}/request.json", id.day()))
    }

    /// The key of the result of a search in the background.
    #[must_use]
    pub fn search_result(user: UserId, id: SearchId) -> Self {
        Self(format!("{SEARCHES}/{}/{user}/{id}/result.jsonl", id.day()))
    }

    /// The prefix of all searches in the background that an account began on the day of this one.
    #[must_use]
    pub fn searches_of_account(user: UserId, id: SearchId) -> Prefix {
        Prefix(format!("{SEARCHES}/{}/{user}/", id.day()))
    }

    /// The prefix of all searches in the background of a day, counted from the Unix epoch in UTC.
    #[must_use]
    pub fn searches_of_day(day: u64) -> Prefix {
        Prefix(format!("{SEARCHES}/{day}/"))
    }

    /// Parses the text of a key that a row names: of a source, an image, an output or the tail of an upload.
    ///
    /// # Errors
    /// [`InvalidKey`] for any other text.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        source_key(text)
            .or_else(|| image_key(text))
            .or_else(|| output_key(text))
            .or_else(|| tail_key(text))
            .ok_or_else(|| bad(text, "storage key"))
    }

    /// The key as it is stored in the database.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn location(&self) -> object_store::path::Path {
        object_store::path::Path::from(self.as_str())
    }
}

fn source_key(text: &str) -> Option<Key> {
    let id = text.strip_prefix("sources/")?;
    let key = Key::source(Uuid::try_parse(id).ok()?);
    (key.as_str() == text).then_some(key)
}

fn tail_key(text: &str) -> Option<Key> {
    let (source, id) = text.strip_prefix("uploads/")?.split_once('/')?;
    let source = Key::source(Uuid::try_parse(source).ok()?);
    let key = Key::upload_tail(&source, Uuid::try_parse(id).ok()?);
    (key.as_str() == text).then_some(key)
}

/// Returns `true` for the prefix of the tails of an upload, without its last `/`.
fn is_tails(text: &str) -> bool {
    let source = text.strip_prefix("uploads/").and_then(|id| Uuid::try_parse(id).ok());
    source.is_some_and(|id| Key::source(id).upload_tails().0.trim_end_matches('/') == text)
}

fn image_key(text: &str) -> Option<Key> {
    let (user, id) = text.strip_prefix("images/")?.split_once('/')?;
    let user = user.parse().ok().filter(|user| *user >= 0)?;
    let key = Key::image(UserId(user), Uuid::try_parse(id).ok()?);
    (key.as_str() == text).then_some(key)
}

fn output_key(text: &str) -> Option<Key> {
    let mut parts = text.strip_prefix("outputs/")?.splitn(3, '/');
    let task: i64 = parts.next()?.parse().ok().filter(|task| *task >= 0)?;
    let attempt: i32 = parts.next()?.parse().ok().filter(|attempt| *attempt >= 0)?;
    let file = FileName::parse(parts.next()?).ok()?;
    let key = Key::output(TaskId(task), attempt, &file);
    (key.as_str() == text).then_some(key)
}

impl Target {
    /// Parses the text of a [`Key`], or of the [`Prefix`] of a set.
    ///
    /// # Errors
    /// [`InvalidKey`] for any other text, including prefixes that contain more than one set.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        match text.strip_suffix('/') {
            Some(set) if output_key(set).is_some() || is_tails(set) => Ok(Self::Set(Prefix(text.to_owned()))),
            Some(_) => Err(bad(text, "storage key or prefix")),
            None => Key::parse(text).map(Self::Object),
        }
    }
}

impl Prefix {
    /// The key of a file of this set.
    ///
    /// # Errors
    /// [`InvalidKey`] if the name together with the prefix is too long or too deep.
    pub fn file(&self, name: &FileName) -> Result<Key, InvalidKey> {
        Key::parse(&format!("{}{name}", self.0))
    }

    pub(crate) fn location(&self) -> object_store::path::Path {
        object_store::path::Path::from(self.0.as_str())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FileName {
    /// Validates a file name.
    ///
    /// # Errors
    /// [`InvalidKey`] if the text is empty, too long, too deep or absolute, or contains another character.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let fits = text.len() <= MAX_FILE_NAME_BYTES
            && text.split('/').count() <= MAX_FILE_NAME_DEPTH
            && text.split('/').all(is_valid_segment);
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(bad(text, "output file name"))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_valid_segment(segment: &str) -> bool {
    !segment.is_empty()
        && !segment.starts_with(['.', '-'])
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

fn bad(text: &str, expected: &'static str) -> InvalidKey {
    InvalidKey {
        value: text.chars().take(300).collect(),
        expected,
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl FromStr for FileName {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_parsed_back_from_its_text() {
        let file = FileName::parse("hls/720p/segment_00001.m4s").unwrap();
        let id = Uuid::from_u128(7);
        let output = Key::output(TaskId(42), 3, &file);
        for key in [Key::source(id), Key::image(UserId(5), id), output] {
            assert_eq!(Key::parse(&key.to_string()).unwrap(), key);
            assert_eq!(Target::parse(&key.to_string()).unwrap(), Target::Object(key));
        }
        let tails = Key::source(id).upload_tails();
        assert_eq!(Target::parse(&tails.to_string()).unwrap(), Target::Set(tails));
        let tail = Key::upload_tail(&Key::source(id), Uuid::from_u128(8));
        assert_eq!(Key::parse(&tail.to_string()).unwrap(), tail);
        let set = Key::output_set(TaskId(42), 3, &FileName::parse("hls").unwrap());
        assert_eq!(Target::parse("outputs/42/3/hls/").unwrap(), Target::Set(set.clone()));
        let first = set.file(&FileName::parse("720p-0001.m4s").unwrap()).unwrap();
        assert_eq!(first.as_str(), "outputs/42/3/hls/720p-0001.m4s");
    }

    #[test]
    fn the_keys_of_a_search_begin_with_its_day_and_its_account() {
        let id: SearchId = "019ad3a5-5400-7000-8000-000000000001".parse().unwrap();
        let result = Key::search_result(UserId(5), id);
        assert_eq!(result.as_str(), format!("searches/20422/5/{id}/result.jsonl"));
        assert!(result.as_str().starts_with(Key::searches_of_day(20_422).as_str()));
        let request = Key::search_request(UserId(5), id);
        assert_eq!(request.as_str(), format!("searches/20422/5/{id}/request.json"));
        assert_eq!(Key::searches_of_account(UserId(5), id).as_str(), "searches/20422/5/");
    }

    #[test]
    fn invalid_keys_are_refused() {
        let invalid = [
            "",
            "/",
            "/etc/passwd",
            "sources",
            "sources/",
            "sources/../outputs/1/1/a",
            "sources/00000000-0000-0000-0000-00000000000g",
            "sources/{00000000-0000-0000-0000-000000000007}",
            "sources/00000000000000000000000000000007",
            "sources/00000000-0000-0000-0000-000000000007/x",
            "images/00000000-0000-0000-0000-000000000007",
            "images/-1/00000000-0000-0000-0000-000000000007",
            "images/../00000000-0000-0000-0000-000000000007",
            "images/1/cat.png",
            "outputs/1/1/",
            "outputs/1/1/..",
            "outputs/1/1/../../2/1/a.mp4",
            "outputs/1/1/a//b",
            "outputs/1/1//a",
            "outputs/1/1/a/",
            "outputs/1/1/.hidden",
            "outputs/1/1/-rf",
            "outputs/1/1/a#1",
            "outputs/1/1/a%2e%2e",
            "outputs/1/1/a\\b",
            "outputs/1/1/a b",
            "outputs/1/1/a\nb",
            "outputs/1/1/a\0",
            "outputs/1/1/vidéo.mp4",
            "outputs/-1/1/a",
            "outputs/+1/1/a",
            "outputs/01/1/a",
            "outputs/1/-1/a",
            "outputs/99999999999999999999/1/a",
            "outputs/1/1/a/b/c/d/e",
            "others/1/1/a",
        ];
        for text in invalid {
            assert!(Key::parse(text).is_err(), "{text:?} was accepted");
        }
        // Prefixes that contain more than one set.
        for text in [
            "/",
            "outputs/",
            "outputs/1/",
            "outputs/1/1/",
            "sources/",
            "uploads/",
            "uploads/1/",
            "outputs/1/1/../",
            "outputs/1/1/a//",
        ] {
            assert!(Target::parse(text).is_err(), "{text:?} was accepted");
        }
        assert!(FileName::parse(&"a".repeat(256)).is_err());
        assert!(FileName::parse(&"a".repeat(255)).is_ok());
    }
}
