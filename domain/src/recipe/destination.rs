//! The destination: a bucket of the customer to which the outputs are written as well.

use super::value::{schema_of, serialize_as_text};
use super::{Name, Output};
use crate::task::TaskId;
use crate::time::InvalidValue;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, Type};

/// A bucket of the customer to which all outputs are written before the task is processed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// The address of the files in the bucket.
    pub url: DestinationUrl,
    /// The name of a credential of the account, which has the endpoint and the access key.
    pub credential: Name,
}

/// `s3://BUCKET/KEY`, where the key is a template with variables in braces, each at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationUrl {
    text: String,
    bucket: String,
    key: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(Variable),
}

/// The variables of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variable {
    TaskId,
    Date,
    Source,
    Output,
    Ext,
}

/// The values of the variables that are the same for all files of a task.
#[derive(Clone, Debug)]
pub struct DestinationValues {
    /// The task.
    pub task: TaskId,
    /// The day on which the task was created, `YYYY-MM-DD`.
    pub date: String,
    /// The name of the uploaded file, as it was sent.
    pub source: String,
}

/// Maximum length of a template. With the values of all variables, a key stays below the 1,024 bytes that S3 accepts.
const MAX_BYTES: usize = 500;
/// Maximum length of the value of `{source}`.
const SOURCE_BYTES: usize = 100;
const SYNTAX: &str = "s3://BUCKET/KEY of at most 500 bytes. BUCKET has 3 to 63 of a-z, 0-9, . and -. KEY has letters, \
    digits, - _ . = + @ , ! ( ) / and each of {task_id}, {date}, {source}, {output} and {ext} at most once, \
    and no part between slashes is empty, . or ..";

impl Variable {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "task_id" => Self::TaskId,
            "date" => Self::Date,
            "source" => Self::Source,
            "output" => Self::Output,
            "ext" => Self::Ext,
            _ => return None,
        })
    }
}

impl DestinationUrl {
    /// Returns the name of the bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Returns the key of a file. `path` is the name of an output, such as `video.mp4`, or that of a file of a set
    /// below the name of the output, such as `hls/master.m3u8`.
    #[must_use]
    pub fn key(&self, values: &DestinationValues, path: &str) -> String {
        let (output, ext) = path.rsplit_once('.').unwrap_or((path, ""));
        let parts = self.key.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Variable(Variable::TaskId) => values.task.to_string(),
            Part::Variable(Variable::Date) => values.date.clone(),
            Part::Variable(Variable::Source) => safe_stem(&values.source),
            Part::Variable(Variable::Output) => output.to_owned(),
            Part::Variable(Variable::Ext) => ext.to_owned(),
        });
        parts.collect()
    }

    /// Returns true if all files of these outputs get different keys, and those of a set keep their names, by which
    /// they refer to each other.
    #[must_use]
    pub fn is_unique_for(&self, outputs: &[Output]) -> bool {
        let ends_with_name = self.text.ends_with("{output}.{ext}");
        let is_one_file = outputs.len() == 1 && !outputs.iter().any(Output::is_set);
        ends_with_name || is_one_file
    }
}

/// The name of a file without its extension, and without characters that other programs treat in a special way.
fn safe_stem(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let safe = stem.chars().map(|c| if is_safe(c) { c } else { '-' });
    let safe: String = safe.take(SOURCE_BYTES).collect();
    // A hidden file, `.` and `..` begin with a dot.
    let safe = safe.trim_matches(['.', '-']);
    if safe.is_empty() { "video" } else { safe }.to_owned()
}

impl FromStr for DestinationUrl {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let parsed = || {
            let (bucket, key) = text.strip_prefix("s3://")?.split_once('/')?;
            let key = parts(key)?;
            (text.len() <= MAX_BYTES && is_bucket(bucket)).then(|| Self {
                text: text.to_owned(),
                bucket: bucket.to_owned(),
                key,
            })
        };
        parsed().ok_or_else(|| InvalidValue {
            value: text.chars().take(64).collect(),
            expected: SYNTAX,
        })
    }
}

/// Parses a template; `None` if it is not accepted.
fn parts(template: &str) -> Option<Vec<Part>> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.=+@,!()/".contains(&b);
    let mut parts = Vec::new();
    let (mut rest, mut shape) = (template, String::new());
    loop {
        let (text, after) = rest
            .split_once('{')
            .map_or((rest, None), |(text, after)| (text, Some(after)));
        if !text.bytes().all(is_allowed) {
            return None;
        }
        shape.push_str(text);
        parts.push(Part::Text(text.to_owned()));
        let Some((name, after)) = after.map(|after| after.split_once('}')).unwrap_or(None) else {
            // Either the end, or a brace that is not closed.
            let is_end = after.is_none();
            return (is_end && shape.split('/').all(is_segment)).then_some(parts);
        };
        let variable = Part::Variable(Variable::parse(name)?);
        if parts.contains(&variable) {
            return None;
        }
        // Stands for a value, which is not empty and has no dot at its ends.
        shape.push('x');
        parts.push(variable);
        rest = after;
    }
}

fn is_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
}

/// Checks a name by the rules of S3 for all buckets.
fn is_bucket(name: &str) -> bool {
    let is_edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && !name.contains("..")
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'))
}

impl fmt::Display for DestinationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

serialize_as_text!(DestinationUrl);
schema_of!(
    DestinationUrl => Object::builder().schema_type(Type::String).max_length(Some(MAX_BYTES)).pattern(Some("^s3://[a-z0-9][a-z0-9.-]+[a-z0-9]/.+$"))
        .examples(["s3://media/videos/{task_id}/{output}.{ext}"])
        .description(Some("`s3://BUCKET/KEY`. KEY may contain `{task_id}`, `{date}`, `{source}`, `{output}` and `{ext}`.")),
);

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DestinationUrl, InvalidValue> {
        text.parse()
    }

    #[test]
    fn a_template_becomes_the_key_of_each_file() {
        let values = DestinationValues {
            task: TaskId(7),
            date: "2026-11-30".to_owned(),
            source: "../día 1.final.mov".to_owned(),
        };
        for (url, path, key) in [
            ("s3://media/{task_id}/{output}.{ext}", "video.mp4", "7/video.mp4"),
            (
                "s3://media/{task_id}/{output}.{ext}",
                "hls/master.m3u8",
                "7/hls/master.m3u8",
            ),
            (
                "s3://media/a/{date}/{source}-{output}.{ext}",
                "poster.jpg",
                "a/2026-11-30/d-a-1.final-poster.jpg",
            ),
            ("s3://a.b-c/out.{ext}", "video.webm", "out.webm"),
            ("s3://media/fixed", "video.webm", "fixed"),
        ] {
            let parsed = parse(url).unwrap();
            assert_eq!(parsed.key(&values, path), key, "{url}");
            assert_eq!(parsed.to_string(), url);
        }
        assert_eq!(parse("s3://a.b-c/x").unwrap().bucket(), "a.b-c");
    }

    #[test]
    fn a_name_of_a_file_is_safe_in_a_key() {
        for (name, safe) in [
            ("..", "video"),
            (".mp4", "video"),
            ("", "video"),
            ("a/../b c.mp4", "b-c"),
            ("{task_id}.mp4", "task_id"),
            ("é", "video"),
        ] {
            assert_eq!(safe_stem(name), safe, "{name}");
        }
        assert_eq!(safe_stem(&"a".repeat(300)).len(), SOURCE_BYTES);
    }

    #[test]
    fn other_templates_are_refused() {
        let long = format!("s3://media/{}", "a".repeat(MAX_BYTES));
        for url in [
            "",
            "s3://media",
            "s3://media/",
            "https://media/a",
            "s3:///a",
            "s3://M/a",
            "s3://ab/a",
            "s3://-abc/a",
            "s3://a..b/a",
            "s3://media//a",
            "s3://media/a/",
            "s3://media/../a",
            "s3://media/a/./b",
            "s3://media/{name}",
            "s3://media/{task_id",
            "s3://media/task_id}",
            "s3://media/{}",
            "s3://media/{ext}{ext}",
            "s3://media/a b",
            "s3://media/a\\b",
            "s3://media/é",
            "s3://media/a?b",
            "s3://media/a%2fb",
            "s3://user:password@media/a",
            &long,
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }
}
