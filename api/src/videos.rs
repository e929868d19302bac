//! Videos as their owners see and change them.

use chrono::{DateTime, Utc};
use domain::{Status, Visibility};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// A video with its tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VideoView {
    /// The id of the video.
    pub id: i64,
    /// The title; at first the name of the uploaded file without its extension.
    pub title: String,
    /// The description; may have several lines.
    pub description: String,
    /// The tags.
    pub tags: Vec<String>,
    /// A place or an area, in words of the owner.
    pub region: Option<String>,
    /// The id of the video in another system; unique within the account.
    pub external_id: Option<String>,
    /// An object of the owner. It is not searched.
    #[schema(value_type = Object)]
    pub metadata: Value,
    /// The audience besides the owner.
    pub visibility: Visibility,
    /// The task whose outputs are shown; null while the video is private.
    pub task_id: Option<i64>,
    /// The tasks of the video, the newest first.
    pub tasks: Vec<VideoTask>,
    /// Time of the first publication since the video was last private; null while it is private.
    pub published_at: Option<DateTime<Utc>>,
    /// Time of the upload.
    pub created_at: DateTime<Utc>,
    /// Time of the last change.
    pub updated_at: DateTime<Utc>,
    /// The address at which everyone who has it sees the video; null while the video is private. It never changes.
    pub public_url: Option<String>,
    /// The address of a page with a player, for an `iframe` on any site; null while the video is private.
    pub embed_url: Option<String>,
    /// The address of a poster; null while the video is private, and without an output of this kind.
    pub poster_url: Option<String>,
    /// The address for a player: a file, or the playlist of an adaptive stream; null while the video is private.
    pub playback_url: Option<String>,
}

/// A task of a video.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VideoTask {
    /// The id of the task.
    pub id: i64,
    /// Its status.
    pub status: Status,
}

/// Changes of a video, as a JSON merge patch (RFC 7396): absent fields stay, and null removes a value.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = VideoPatch, example = json!({"title": "El Niño 2026", "tags": ["weather", "coast"], "region": "Piura"}))]
pub struct VideoPatchBody {
    /// 1 to 200 characters in one line. A video always has a title: null is refused.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub title: Option<Option<String>>,
    /// Up to 5,000 characters; null empties it.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 5000, pattern = "^[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]*$")]
    pub description: Option<Option<String>>,
    /// Up to 20 tags of 1 to 100 characters without commas; null removes all.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Tag>>, max_items = 20)]
    pub tags: Option<Option<Vec<String>>>,
    /// 1 to 100 characters; null removes it.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub region: Option<Option<String>>,
    /// 1 to 100 characters, unique within the account; null removes it.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub external_id: Option<Option<String>>,
    /// An object, which is merged into the present one; null removes all of it. At most 16 KiB after the merge.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Option<Map<String, Value>>>,
}

/// The task of a video to publish, and its audience.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Publication, example = json!({"visibility": "public"}))]
pub struct PublicationBody {
    /// A processed task of the video; the newest one when absent.
    pub task_id: Option<i64>,
    /// `public` or `unlisted`. When absent, the audience of a published video stays, and a private video becomes
    /// public. Null is refused.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Audience>, nullable = false)]
    pub visibility: Option<Option<String>>,
}

/// The schema of a tag.
struct Tag;

impl PartialSchema for Tag {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let text = text.min_length(Some(1)).max_length(Some(100));
        let pattern = "^[^,\\x00-\\x1f\\x7f-\\x9f]*[^,\\s\\x00-\\x1f\\x7f-\\x9f][^,\\x00-\\x1f\\x7f-\\x9f]*$";
        text.pattern(Some(pattern))
            .description(Some("A tag: one line without commas."))
            .into()
    }
}

impl ToSchema for Tag {}

/// The schema of the audience of a published video.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code, reason = "describes the field in the OpenAPI document")]
enum Audience {
    /// All that have its address. It is in no list and no search of others.
    Unlisted,
    /// All.
    Public,
}

/// Tells a null from an absent field: a field with this attribute is `Some(None)` if it is null.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_tells_null_from_absent() {
        let patch: VideoPatchBody = serde_json::from_str(r#"{"region":null,"title":"A"}"#).unwrap();
        assert_eq!(patch.region, Some(None));
        assert_eq!(patch.external_id, None);
        assert_eq!(patch.title, Some(Some("A".to_owned())));
        let publication: PublicationBody = serde_json::from_str(r#"{"visibility":null}"#).unwrap();
        assert_eq!(publication.visibility, Some(None));
        let absent = serde_json::to_string(&PublicationBody::default()).unwrap();
        assert!(!absent.contains("visibility"), "{absent}");
    }
}
