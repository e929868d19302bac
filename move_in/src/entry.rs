//! Entries of a list: rows of the manifest, and assets without a file.

use domain::video;
use serde::Serialize;
use serde_json::Value;

/// A row of the manifest. Its texts are accepted by an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    pub(crate) source_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
    pub(crate) external_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) preset: Option<String>,
}

/// An asset that is not in the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its id at the service, or its place in the list if it has none. Contains no control characters.
    pub id: String,
    /// The reason, and the way to change it at the service.
    pub reason: &'static str,
}

/// An entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Row(Row),
    Skipped(Skipped),
}

impl Entry {
    pub(crate) fn skipped(id: &str, reason: &'static str) -> Self {
        let id = id.chars().take(video::WORD_CHARS).map(visible).collect();
        Self::Skipped(Skipped { id, reason })
    }

    /// A row, if the URL and the id are such that an import accepts them.
    pub(crate) fn row(service: &str, id: &str, source_url: &str, texts: Texts<'_>) -> Self {
        let Ok(external_id) = video::word(&format!("{service}:{id}")) else {
            return Self::skipped(id, "its id is too long or has control characters");
        };
        let is_web = url::Url::parse(source_url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !is_web || source_url.contains(char::is_control) {
            return Self::skipped(id, "the address of its file is no http:// or https:// address");
        }
        Self::Row(Row {
            source_url: source_url.to_owned(),
            title: texts.title.and_then(title),
            description: texts.description.and_then(description),
            tags: tags(texts.tags),
            external_id,
            preset: None,
        })
    }
}

/// The texts of an asset as the service has them.
#[derive(Clone, Copy, Default)]
pub(crate) struct Texts<'a> {
    pub(crate) title: Option<&'a str>,
    pub(crate) description: Option<&'a str>,
    pub(crate) tags: &'a [String],
}

/// The text of a field of a JSON object.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str().filter(|text| !text.is_empty())
}

fn visible(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}

/// The title in one line, cut to the length that is accepted.
fn title(text: &str) -> Option<String> {
    let line: String = text.trim().chars().map(visible).take(video::TITLE_CHARS).collect();
    video::title(&line).ok()
}

fn description(text: &str) -> Option<String> {
    let is_kept = |character: &char| matches!(character, '\n' | '\t') || !character.is_control();
    let kept: String = text.chars().filter(is_kept).take(video::DESCRIPTION_CHARS).collect();
    video::description(&kept).ok().filter(|text| !text.is_empty())
}

/// The first tags that are accepted, without repetitions.
fn tags(texts: &[String]) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for text in texts {
        let line: String = text.trim().chars().map(visible).take(video::WORD_CHARS).collect();
        let line = line.replace(',', " ");
        let accepted = video::tags(&[line]).unwrap_or_default();
        let new = accepted
            .into_iter()
            .filter(|tag| !tags.contains(tag))
            .collect::<Vec<_>>();
        tags.extend(new);
    }
    tags.truncate(video::TAGS);
    tags
}
