//! Entries of the catalog as clients see them, and replies that say how recent they are.

use crate::extract::BaseUrl;
use api::library::{
    Corrected, FacetCount, FacetView, FreshnessView, LibraryList, LibraryOutput, LibraryShow, LibraryVideo, SearchHit,
    SearchResult,
};
use app::library::{
    Details, FacetCounts, Freshness, Hit, HitPage, Output, Video, VideoPage, embed_url, facet_name, public_url,
};
use axum::Json;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use domain::Visibility;
use domain::search::Correction;
use serde::Serialize;

/// The header that names the cause of a degraded reply.
pub(crate) const DEGRADED_HEADER: HeaderName = HeaderName::from_static("rushes-degraded");

/// `Cache-Status` (RFC 9211) of a reply while the database is away.
const CACHE_STATUS: HeaderValue = HeaderValue::from_static("rushes-catalog; hit; detail=database-unavailable");

/// A JSON reply that tells its freshness in headers, too, while the database is away.
pub(crate) struct Fresh<T> {
    body: T,
    freshness: Freshness,
}

impl<T> Fresh<T> {
    pub(super) fn new(freshness: Freshness, body: impl FnOnce(FreshnessView) -> T) -> Self {
        Self {
            body: body(freshness_view(freshness)),
            freshness,
        }
    }
}

impl<T: Serialize> IntoResponse for Fresh<T> {
    fn into_response(self) -> Response {
        (freshness_headers(self.freshness), Json(self.body)).into_response()
    }
}

pub(crate) fn freshness_view(freshness: Freshness) -> FreshnessView {
    FreshnessView {
        degraded: freshness.is_degraded,
        as_of: time(freshness.as_of_ms),
        age_ms: u64::try_from(freshness.age.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The headers of a reply while the database is away; none otherwise. `Age` is that of RFC 9111 §5.1.
pub(crate) fn freshness_headers(freshness: Freshness) -> HeaderMap {
    if !freshness.is_degraded {
        return HeaderMap::new();
    }
    HeaderMap::from_iter([
        (header::AGE, HeaderValue::from(freshness.age.as_secs())),
        (header::CACHE_STATUS, CACHE_STATUS),
        (DEGRADED_HEADER, HeaderValue::from_static("database")),
    ])
}

pub(super) fn list_view(page: VideoPage, base: &BaseUrl, freshness: FreshnessView) -> LibraryList {
    LibraryList {
        data: page.videos.into_iter().map(|video| video_view(video, base)).collect(),
        next_cursor: page.next_cursor,
        freshness,
    }
}

pub(super) fn search_view(page: HitPage, base: &BaseUrl, freshness: FreshnessView) -> SearchResult {
    let hits = page.hits.into_iter().map(|hit| hit_view(hit, base));
    SearchResult {
        data: hits.collect(),
        next_cursor: page.next_cursor,
        total: page.total.into(),
        total_at_least: page.total_at_least,
        corrected: page.corrections.into_iter().map(corrected_view).collect(),
        facets: page.facets.into_iter().map(facet_view).collect(),
        freshness,
    }
}

pub(crate) fn hit_view(hit: Hit, base: &BaseUrl) -> SearchHit {
    let highlights = hit.highlight.into_iter().map(|range| [range.start, range.end]);
    SearchHit {
        highlights: highlights.collect(),
        video: video_view(hit.video, base),
    }
}

pub(crate) fn corrected_view(correction: Correction) -> Corrected {
    Corrected {
        word: correction.word,
        replacements: correction.replacements,
    }
}

pub(super) fn show_view(video: Video, base: &BaseUrl, freshness: FreshnessView) -> LibraryShow {
    let details = Details::of(&video);
    let public_url = public_url(&base.0, &video.public_id);
    let outputs = details.outputs.iter().map(|output| LibraryOutput {
        name: output.name.clone(),
        kind: output.kind.clone(),
        media_type: output.media_type.clone(),
        bytes: output.bytes,
        width_px: output.width_px,
        height_px: output.height_px,
        url: output.url(&public_url),
    });
    LibraryShow {
        outputs: outputs.collect(),
        video: video_view(video, base),
        freshness,
    }
}

fn video_view(video: Video, base: &BaseUrl) -> LibraryVideo {
    let details = Details::of(&video);
    let is_shown = video.visibility != Visibility::Private;
    let public_url = is_shown.then(|| public_url(&base.0, &video.public_id));
    let url = |output: Option<&Output>| Some(output?.url(public_url.as_deref()?));
    let playback = details.playback().filter(|_| is_shown);
    LibraryVideo {
        id: video.id,
        poster_url: url(details.poster()),
        playback_url: url(playback),
        embed_url: is_shown.then(|| embed_url(&base.0, &video.public_id)),
        public_url,
        playback_type: playback.map(|output| output.media_type.clone()),
        title: video.title,
        description: video.description,
        tags: video.tags,
        owner: video.owner,
        region: video.region,
        duration_ms: video.duration_ms,
        visibility: video.visibility,
        published_at: video.published_at_ms.map(time),
        votes: video.votes,
        views: video.views,
    }
}

fn facet_view(facet: FacetCounts) -> FacetView {
    let counts = facet
        .counts
        .into_iter()
        .map(|(value, count)| FacetCount { value, count });
    FacetView {
        name: facet_name(facet.facet).to_owned(),
        counts: counts.collect(),
        at_least: facet.at_least,
    }
}

fn time(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}
