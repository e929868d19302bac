//! Guest links: what their owner sees, and what a guest sees.

use chrono::{DateTime, Utc};
use domain::Recipe;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A new guest link.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewGuestLink, example = json!({"title": "Footage of Monday", "max_bytes": 1_073_741_824, "max_uploads": 5, "preset": "web"}))]
pub struct NewGuestLinkBody {
    /// A line for the guests, of at most 200 characters.
    #[schema(nullable = false, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub title: Option<String>,
    /// The largest length of a file in bytes; by default that of the installation.
    #[schema(nullable = false, minimum = 1)]
    pub max_bytes: Option<i64>,
    /// The number of uploads, 1 to 1,000; 1 by default.
    #[schema(nullable = false, minimum = 1, maximum = 1_000)]
    pub max_uploads: Option<i64>,
    /// No upload begins after this time; by default in 7 days.
    #[schema(nullable = false)]
    pub expires_at: Option<DateTime<Utc>>,
    /// A password that guests need, of at least 8 characters and at most 1,024 bytes.
    #[schema(nullable = false, min_length = 8, max_length = 1024)]
    pub password: Option<String>,
    /// The name of a preset; not together with `recipe`. If both are absent, the default preset is used. A later change
    /// of the preset does not matter.
    #[schema(nullable = false, example = "web")]
    pub preset: Option<String>,
    /// A recipe; not together with `preset`.
    #[schema(nullable = false, value_type = Option<Recipe>)]
    pub recipe: Option<Value>,
}

/// Changes of a guest link; fields that are absent or null stay.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GuestLinkPatch, example = json!({"revoked": true}))]
pub struct GuestLinkPatchBody {
    /// A line for the guests, of at most 200 characters; empty removes it.
    #[schema(max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub title: Option<String>,
    /// The largest length of a file in bytes, of uploads that begin later.
    #[schema(minimum = 1)]
    pub max_bytes: Option<i64>,
    /// The number of uploads, 1 to 1,000.
    #[schema(minimum = 1, maximum = 1_000)]
    pub max_uploads: Option<i64>,
    /// No upload begins after this time.
    pub expires_at: Option<DateTime<Utc>>,
    /// True ends all sessions of guests at once. False undoes it.
    pub revoked: Option<bool>,
}

/// A guest link as its owner sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GuestLinkView {
    /// The id of the link.
    pub id: i64,
    /// A line for the guests.
    pub title: Option<String>,
    /// The largest length of a file in bytes.
    pub max_bytes: i64,
    /// The number of uploads that the link allows.
    pub max_uploads: i64,
    /// The number of uploads that have begun. One that is removed before it is a task does not count.
    pub uploads: i64,
    /// No upload begins after this time.
    pub expires_at: DateTime<Utc>,
    /// True if guests need a password.
    pub password_required: bool,
    /// The preset of the tasks; null for a recipe.
    pub preset: Option<String>,
    /// The recipe of the tasks.
    #[schema(value_type = Recipe)]
    pub recipe: Value,
    /// True if the link was withdrawn.
    pub revoked: bool,
    /// Time of the creation.
    pub created_at: DateTime<Utc>,
}

/// A new guest link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GuestLinkWithToken {
    /// The link.
    #[serde(flatten)]
    pub link: GuestLinkView,
    /// The address for guests, which contains the secret token. Null only if the request is repeated and the
    /// installation has no key to store secrets of users (`RUSHES_SEALING_KEY`).
    pub url: Option<String>,
    /// The secret token alone; null like `url`.
    pub token: Option<String>,
}

/// The guest links of an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GuestLinkList {
    /// The links, the newest first.
    pub data: Vec<GuestLinkView>,
    /// Always null, because there is only one page.
    pub next_cursor: Option<String>,
}

/// The limits of a guest link, as a guest sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GuestView {
    /// A line of the owner.
    pub title: Option<String>,
    /// The largest length of a file in bytes.
    pub max_bytes: i64,
    /// The number of uploads that may still begin.
    pub remaining_uploads: i64,
    /// No upload begins after this time.
    pub expires_at: DateTime<Utc>,
    /// True if a session needs the password.
    pub password_required: bool,
}

/// The password of a guest link.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewGuestSession)]
pub struct GuestSessionBody {
    /// The password, if the link has one.
    #[schema(nullable = false)]
    pub password: Option<String>,
}
