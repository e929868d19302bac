//! The fields that describe a video, which both kinds of rows have.

use super::columns::metadata_key;
use super::row_error::RowError;
use crate::code::Code;
use crate::library::Visibility;
use crate::nul::has_nul;
use crate::video::{self, Accepted};
use serde_json::{Map, Value, json};
use std::fmt::Display;

/// The description of a new video. Absent values have the defaults of an upload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    /// The title.
    pub title: Option<String>,
    /// The description; may have several lines.
    pub description: Option<String>,
    /// The tags, without repetitions.
    pub tags: Option<Vec<String>>,
    /// The id of the video in another system.
    pub external_id: Option<String>,
    /// The visibility of the video when its task is processed.
    pub visibility: Option<Visibility>,
    /// A place or an area, in words of the owner.
    pub region: Option<String>,
    /// The metadata; has no null.
    pub metadata: Map<String, Value>,
}

/// Changes of a video. Absent values stay; `Some(None)` removes a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DetailChanges {
    /// The title.
    pub title: Option<String>,
    /// The description; empty if it is removed.
    pub description: Option<String>,
    /// The tags, without repetitions; empty if they are removed.
    pub tags: Option<Vec<String>>,
    /// The id of the video in another system.
    pub external_id: Option<Option<String>>,
    /// The visibility, now or when a task of the video is processed.
    pub visibility: Option<Visibility>,
    /// A place or an area, in words of the owner.
    pub region: Option<Option<String>>,
    /// A JSON merge patch (RFC 7396) for the metadata: a null removes a key.
    pub metadata: Map<String, Value>,
}

impl DetailChanges {
    /// Returns `true` if nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The fields of a row.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The value of a field, unless it is null.
    pub(super) fn value(self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn is_null(self, field: &str) -> bool {
        self.0.get(field).is_some_and(Value::is_null)
    }

    /// The value of a text field, after `check`. The error of `check` tells the accepted values.
    pub(super) fn text<T, E: Display>(
        self,
        field: &str,
        code: Code,
        check: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, RowError> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        let text = value.as_str();
        let text = text.ok_or_else(|| RowError::of_value(field, code, value, "text"))?;
        match check(text) {
            Ok(checked) => Ok(Some(checked)),
            Err(accepted) => Err(RowError::of_value(field, code, value, &accepted.to_string())),
        }
    }

    pub(super) fn external_id(self) -> Result<Option<String>, RowError> {
        self.described("external_id", Code::ExternalIdInvalid, video::word)
    }

    pub(super) fn details(self) -> Result<Details, RowError> {
        let patch = self.metadata_patch(Nulls::Absent)?;
        Ok(Details {
            metadata: merged(&patch)?,
            ..self.texts()?
        })
    }

    /// The changes except that of the external id.
    pub(super) fn changes(self) -> Result<DetailChanges, RowError> {
        let metadata = self.metadata_patch(Nulls::Remove)?;
        // The size is checked again when the patch is merged into the metadata of the video.
        merged(&metadata)?;
        let texts = self.texts()?;
        let (description, region) = (texts.description, texts.region);
        Ok(DetailChanges {
            title: texts.title,
            description: description.or_else(|| self.is_null("description").then(String::new)),
            tags: texts.tags.or_else(|| self.is_null("tags").then(Vec::new)),
            external_id: None,
            visibility: texts.visibility,
            region: region.map(Some).or_else(|| self.is_null("region").then_some(None)),
            metadata,
        })
    }

    /// All details except the metadata.
    fn texts(self) -> Result<Details, RowError> {
        Ok(Details {
            title: self.described("title", Code::TitleInvalid, video::title)?,
            description: self.described("description", Code::DescriptionInvalid, video::description)?,
            tags: self.tags()?,
            external_id: self.external_id()?,
            visibility: self.text("visibility", Code::VisibilityInvalid, |text| {
                Visibility::from_word(text.trim()).ok_or("private, unlisted, public")
            })?,
            region: self.described("region", Code::RegionInvalid, video::word)?,
            metadata: Map::new(),
        })
    }

    /// The value of a text field, after a check of [`crate::video`].
    fn described(
        self,
        field: &str,
        code: Code,
        check: fn(&str) -> Result<String, Accepted>,
    ) -> Result<Option<String>, RowError> {
        self.text(field, code, |text| check(text).map_err(words))
    }

    /// The tags: an array of texts, or one text in which they are separated by semicolons.
    fn tags(self) -> Result<Option<Vec<String>>, RowError> {
        let Some(value) = self.value("tags") else {
            return Ok(None);
        };
        let texts: Option<Vec<String>> = match value {
            Value::String(text) => Some(text.split(';').map(str::to_owned).collect()),
            Value::Array(values) => values.iter().map(|tag| tag.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        let refused = |accepted: &str| RowError::of_value("tags", Code::TagsInvalid, value, accepted);
        let texts = texts.ok_or_else(|| refused("an array of texts, or a text with semicolons"))?;
        let tags = video::tags(&texts).map_err(|accepted| {
            let separator = if value.is_string() {
                "; separated by semicolons"
            } else {
                ""
            };
            refused(&format!("{}{separator}", words(accepted)))
        })?;
        Ok(Some(tags))
    }

    /// The metadata of the row as a merge patch. No text in it contains a NUL character: Postgres cannot store them.
    fn metadata_patch(self, nulls: Nulls) -> Result<Map<String, Value>, RowError> {
        let refused = |field: &str, value: &Value, accepted: &str| {
            RowError::of_value(field, Code::MetadataInvalid, value, accepted)
        };
        let mut patch = match self.value("meta") {
            None => Map::new(),
            Some(Value::Object(patch)) => patch.clone(),
            Some(value) => return Err(refused("meta", value, "an object")),
        };
        for (column, value) in self.0 {
            let Some(key) = metadata_key(column) else { continue };
            if value.is_null() && nulls == Nulls::Absent {
                continue;
            }
            if patch.insert(key.to_owned(), value.clone()).is_some() {
                return Err(refused(column, value, "a key that is not in meta"));
            }
        }
        let with_nul = patch.iter().find(|(key, value)| key.contains('\0') || has_nul(value));
        match with_nul {
            Some((key, value)) => Err(refused(&format!("meta.{key}"), value, "JSON without NUL characters")),
            None => Ok(patch),
        }
    }
}

/// The meaning of a null in a column for metadata.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nulls {
    /// The same as that of an absent column.
    Absent,
    /// The key is removed.
    Remove,
}

/// The metadata of a new video.
fn merged(patch: &Map<String, Value>) -> Result<Map<String, Value>, RowError> {
    match video::merged_metadata(json!({}), patch) {
        Ok(Value::Object(metadata)) => Ok(metadata),
        Ok(_) => Ok(Map::new()),
        Err(accepted) => {
            let patch = Value::Object(patch.clone());
            Err(RowError::of_value(
                "meta",
                Code::MetadataInvalid,
                &patch,
                &words(accepted),
            ))
        }
    }
}

/// The accepted values without the word before them.
fn words(accepted: Accepted) -> String {
    let text = accepted.to_string();
    text.strip_prefix("accepted: ").unwrap_or(&text).to_owned()
}
