//! The files of a published video, at addresses that need no token.

use super::view::{DEGRADED_HEADER, freshness_headers};
use crate::AppState;
use crate::error::Error;
use crate::extract::read_path;
use crate::openapi::{Binary, problems};
use crate::routes::video::{FileResponse, Validators, reading_time};
use app::library::{Details, Freshness, Output, public_url};
use axum::extract::State;
use axum::http::header::{self, CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::DateTime;
use domain::{Code, media_type_of_file};
use std::time::Duration;
use storage::{FileName, Key, Target};
use tower_http::cors::{Any, CorsLayer};

/// The owner may show another task or make the video private at any time, so shared caches keep a file for a minute.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=60");

/// CORS for published videos: scripts of any site may read what everyone may. Players read playlists and segments.
pub(crate) fn any_origin() -> CorsLayer {
    CorsLayer::new().allow_origin(Any).expose_headers([
        HeaderName::from_static("x-request-id"),
        header::ACCEPT_RANGES,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::DATE,
        header::ETAG,
        header::LAST_MODIFIED,
        header::RETRY_AFTER,
        header::AGE,
        header::CACHE_STATUS,
        DEGRADED_HEADER,
    ])
}

/// An output of a published video.
pub(crate) struct PublicOutput {
    output: Output,
    published_at_ms: i64,
    playing: Duration,
    freshness: Freshness,
}

impl PublicOutput {
    async fn find(state: &AppState, public_id: &str, name: &str) -> Result<Self, Error> {
        let found = state.app.library.video_of_link(public_id).await;
        let (video, freshness) = found.map_err(|error| match error {
            app::Error::Client(refusal) if refusal.code == Code::VideoNotFound => Code::FileNotFound.into(),
            error => error,
        })?;
        let mut outputs = Details::of(&video).outputs.into_iter();
        Ok(Self {
            output: outputs.find(|output| output.name == name).ok_or(Code::FileNotFound)?,
            published_at_ms: video.published_at_ms.unwrap_or(video.created_at_ms),
            playing: Duration::from_millis(u64::try_from(video.duration_ms).unwrap_or_default()),
            freshness,
        })
    }

    fn validators(&self, name: &str) -> Validators {
        let since = DateTime::from_timestamp_millis(self.published_at_ms).unwrap_or_default();
        // The row of an output and its files never change, so the id and the name identify the version.
        Validators::new(&format!("{}-{name}", self.output.id), since)
    }

    fn headers(&self, media_type: &str) -> HeaderMap {
        let media_type = HeaderValue::from_str(media_type);
        let mut headers = freshness_headers(self.freshness);
        headers.insert(CACHE_CONTROL, CACHE);
        headers.insert(
            CONTENT_TYPE,
            media_type.unwrap_or(HeaderValue::from_static("application/octet-stream")),
        );
        headers
    }
}

problems!(FileProblems: FileNotFound, PreconditionFailed, RangeInvalid, CatalogFilling, Unavailable);

/// Sends an output of a published video, or a range of its bytes.
///
/// For a set of files, redirects to its entry file.
#[utoipa::path(get, operation_id = "library_output", path = "/library/{id}/files/{output}", tag = "library",
    params(("id" = String, Path, description = "The last part of the public address of the video"),
        ("output" = String, Path, description = "The name of the output")),
    responses((status = 200, description = "The file", content(
            (inline(Binary) = "video/mp4"), (inline(Binary) = "video/webm"), (inline(Binary) = "audio/mp4"),
            (inline(Binary) = "audio/mpeg"), (inline(Binary) = "audio/ogg"), (inline(Binary) = "image/gif"),
            (inline(Binary) = "image/jpeg"), (inline(Binary) = "image/png"), (inline(Binary) = "image/webp"))),
        (status = 206, description = "The range, with the media type of the file", body = inline(Binary), content_type = "application/octet-stream"),
        (status = 304, description = "The client has this version already"),
        (status = 307, description = "The file is at the address in `Location`: the entry file of a set, or a signed URL of the bucket"), FileProblems))]
pub(crate) async fn output(State(state): State<AppState>, mut request: Parts) -> Result<Response, Error> {
    let [id, name]: [String; 2] = read_path(&mut request, Code::FileNotFound).await?;
    let found = PublicOutput::find(&state, &id, &name).await?;
    if found.output.entry.is_some() {
        return Ok(Redirect::temporary(&found.output.url(&public_url("", &id))).into_response());
    }
    let file = FileResponse {
        key: Key::parse(&found.output.key).map_err(anyhow::Error::from)?,
        bytes: u64::try_from(found.output.bytes).unwrap_or_default(),
        validators: found.validators(&name),
        absent: Code::FileNotFound,
        headers: found.headers(&found.output.media_type),
        reading: reading_time(found.playing, None),
    };
    file.send(&state, &request).await
}

/// Sends a file of a set of a published video, or a range of its bytes.
///
/// The relative URIs in the entry file of a set lead here.
#[utoipa::path(get, operation_id = "library_set_file", path = "/library/{id}/files/{output}/{file}", tag = "library",
    params(("id" = String, Path, description = "The last part of the public address of the video"),
        ("output" = String, Path, description = "The name of the output"),
        ("file" = String, Path, description = "The name of a file of the set")),
    responses((status = 200, description = "The file", content(
            (inline(Binary) = "application/octet-stream"), (inline(Binary) = "application/vnd.apple.mpegurl"),
            (inline(Binary) = "audio/mp4"), (inline(Binary) = "image/jpeg"), (inline(Binary) = "text/vtt"),
            (inline(Binary) = "video/mp4"))),
        (status = 206, description = "The range, with the media type of the file", body = inline(Binary), content_type = "application/octet-stream"),
        (status = 304, description = "The client has this version already"),
        (status = 307, description = "The file is at the address in `Location`, a signed URL of the bucket"), FileProblems))]
pub(crate) async fn set_file(State(state): State<AppState>, mut request: Parts) -> Result<Response, Error> {
    let absent = || Error::from(Code::FileNotFound);
    let [id, name, file]: [String; 3] = read_path(&mut request, Code::FileNotFound).await?;
    let found = PublicOutput::find(&state, &id, &name).await?;
    let (Ok(Target::Set(set)), Ok(file)) = (Target::parse(&found.output.key), FileName::parse(&file)) else {
        return Err(absent());
    };
    let key = set.file(&file).map_err(|_| absent())?;
    let response = FileResponse {
        bytes: state.app.storage.head(&key).await?.ok_or_else(absent)?,
        key,
        validators: found.validators(&format!("{name}-{file}")),
        absent: Code::FileNotFound,
        headers: found.headers(media_type_of_file(file.as_str())),
        reading: reading_time(Duration::ZERO, None),
    };
    response.send(&state, &request).await
}
