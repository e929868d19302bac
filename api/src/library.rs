//! The library: lists, searches and published videos.

use chrono::{DateTime, Utc};
use domain::Visibility;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The age of a reply. While the database is away, replies come from the catalog of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FreshnessView {
    /// True while the catalog of the server does not follow the database, as when the database is away.
    pub degraded: bool,
    /// All changes until this time are in the reply.
    pub as_of: DateTime<Utc>,
    /// Milliseconds since `as_of`.
    pub age_ms: u64,
}

/// A video of the library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LibraryVideo {
    /// The id of the video.
    pub id: i64,
    /// The title.
    pub title: String,
    /// The description; may have several lines.
    pub description: String,
    /// The tags.
    pub tags: Vec<String>,
    /// The name of the account.
    pub owner: String,
    /// A place or an area, in words of the owner.
    pub region: Option<String>,
    /// Duration in milliseconds; 0 while it is unknown.
    pub duration_ms: i64,
    /// The audience besides the owner.
    pub visibility: Visibility,
    /// Time of the first publication since the video was last private; null while it is private.
    pub published_at: Option<DateTime<Utc>>,
    /// Number of votes.
    pub votes: i64,
    /// Number of views.
    pub views: i64,
    /// The address at which everyone who has it sees the video; null while the video is private. It never changes.
    pub public_url: Option<String>,
    /// The address of a page with a player, for an `iframe` on any site; null while the video is private.
    pub embed_url: Option<String>,
    /// The address of a poster; null while the video is private, and without an output of this kind.
    pub poster_url: Option<String>,
    /// The address for a player: a file, or the playlist of an adaptive stream; null while the video is private.
    pub playback_url: Option<String>,
    /// The media type of `playback_url`.
    #[schema(example = "application/vnd.apple.mpegurl")]
    pub playback_type: Option<String>,
}

/// A page of videos.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LibraryList {
    /// The videos of this page.
    pub data: Vec<LibraryVideo>,
    /// The `cursor` of the next page; null on the last one.
    pub next_cursor: Option<String>,
    /// The age of the reply.
    pub freshness: FreshnessView,
}

/// A published or unlisted video.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LibraryShow {
    /// The video.
    #[serde(flatten)]
    pub video: LibraryVideo,
    /// All outputs.
    pub outputs: Vec<LibraryOutput>,
    /// The age of the reply.
    pub freshness: FreshnessView,
}

/// An output of a published video.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LibraryOutput {
    /// The name of the output.
    pub name: String,
    /// The kind of the output.
    #[schema(example = "mp4")]
    pub kind: String,
    /// Media type.
    #[schema(example = "video/mp4")]
    pub media_type: String,
    /// Size in bytes; of all files of a set.
    pub bytes: i64,
    /// Width in pixels, if it has frames.
    pub width_px: Option<i32>,
    /// Height in pixels, if it has frames.
    pub height_px: Option<i32>,
    /// Its address.
    pub url: String,
}

/// A page of the videos that match a search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchResult {
    /// The videos of this page.
    pub data: Vec<SearchHit>,
    /// The `cursor` of the next page; null on the last one.
    pub next_cursor: Option<String>,
    /// Number of videos that match.
    pub total: u64,
    /// True if there are more than `total`.
    pub total_at_least: bool,
    /// The words of the query that occur nowhere, and what was searched instead.
    pub corrected: Vec<Corrected>,
    /// The most frequent values of the properties in `facets`.
    pub facets: Vec<FacetView>,
    /// The age of the reply.
    pub freshness: FreshnessView,
}

/// A video that matches a search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchHit {
    /// The video.
    #[serde(flatten)]
    pub video: LibraryVideo,
    /// The matching parts of the title, as pairs of start and end in Unicode code points.
    pub highlights: Vec<[usize; 2]>,
}

/// A word that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Corrected {
    /// The word of the query, in lower case and without accents.
    pub word: String,
    /// Similar words that occur, the most frequent first.
    pub replacements: Vec<String>,
}

/// The values of a facet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FacetView {
    /// `tags` or `region`.
    #[schema(example = "tags")]
    pub name: String,
    /// At most 50 values, the most frequent first.
    pub counts: Vec<FacetCount>,
    /// True if only a part of the hits was counted.
    pub at_least: bool,
}

/// The number of hits with a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FacetCount {
    /// The value.
    pub value: String,
    /// Number of hits.
    pub count: u64,
}
