//! Downloads: to whoever holds a signed link, or to the owner.

mod conditions;
mod disposition;
mod play;
mod range;
mod send;

pub(crate) use conditions::{Version, is_known};
pub(crate) use play::*;
pub(crate) use send::File;

use crate::AppState;
use crate::error::Error;
use crate::extract::CurrentUser;
use crate::links::{Grant, Proof, Worth, playing_time};
use crate::openapi::{Binary, problems};
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use domain::{Code, TaskId};
use entity::{output, task};
use serde::Deserialize;
use std::time::Duration;
use storage::Key;
use utoipa::IntoParams;

/// What stands in the query of a download.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DownloadQuery {
    /// The name of an output; the main one when absent.
    output: Option<String>,
    /// Seconds since 1970 at which the link ends; only with `key` and `signature`.
    #[param(value_type = Option<i64>)]
    expires: Option<String>,
    /// Which key signed.
    key: Option<String>,
    /// What proves the link.
    signature: Option<String>,
}

impl DownloadQuery {
    fn proof(&self) -> Option<Proof> {
        Some(Proof {
            expires: self.expires.as_ref()?.parse().ok()?,
            key: self.key.clone()?,
            signature: self.signature.clone()?,
        })
    }
}

/// An output that this request may read.
pub(crate) struct Granted {
    task: task::Model,
    output: output::Model,
    /// How long the outputs of the task play.
    playing: Duration,
    /// Seconds since 1970 at which the link ends; `None` for the owner.
    expires: Option<i64>,
}

impl FromRequestParts<AppState> for Granted {
    type Rejection = Error;

    /// A caller who may not read it learns the same as if it were not there, but for one whose link has expired.
    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let absent = || Error::from(Code::FileNotFound);
        let Ok(Path((year, month, day, name))) =
            Path::<(String, String, String, String)>::from_request_parts(parts, state).await
        else {
            return Err(absent());
        };
        let query = Query::<DownloadQuery>::try_from_uri(&parts.uri)
            .map_err(|_| absent())?
            .0;
        let owner = match (&query.signature, parts.headers.contains_key(AUTHORIZATION)) {
            (None, false) => return Err(absent()),
            (None, true) => Some(
                <CurrentUser as FromRequestParts<_>>::from_request_parts(parts, state)
                    .await?
                    .0,
            ),
            // Either of the two will do: a browser may send an old link with a good token, or a good link with a token that
            // is somebody else's.
            (Some(_), _) => <CurrentUser as FromRequestParts<_>>::from_request_parts(parts, state)
                .await
                .ok()
                .map(|CurrentUser(user)| user),
        };
        let name = name.strip_suffix(".mp4").unwrap_or(&name);
        let id = name
            .split_once('_')
            .and_then(|(id, _)| id.parse::<TaskId>().ok())
            .ok_or_else(absent)?;
        let found = task::by_path(&state.db, id, &format!("{year}/{month}/{day}/{name}")).await?;
        let task = found.ok_or_else(absent)?;
        let is_owner = owner == Some(task.owner());
        let outputs = output::of_task(&state.db, task.id).await?;
        let playing = playing_time(&outputs);
        let output = match &query.output {
            Some(wanted) => outputs.into_iter().find(|output| output.name == *wanted),
            None => outputs.into_iter().next(),
        };
        // The link of a set leads to its files. If it also led here, to a new link, it would never expire.
        let output = output
            .filter(|output| is_owner || output.entry.is_none())
            .ok_or_else(absent)?;
        let grant = Grant {
            file_path: &task.file_path,
            output: &output.name,
        };
        let proof = query.proof().filter(|_| !is_owner);
        let worth = proof
            .as_ref()
            .map_or(Worth::Nothing, |proof| state.links.worth(proof, grant, Utc::now()));
        match worth {
            Worth::Nothing if !is_owner => Err(absent()),
            Worth::Expired => Err(Code::LinkExpired.into()),
            Worth::Nothing | Worth::Valid => Ok(Self {
                task,
                output,
                playing,
                expires: proof.map(|proof| proof.expires),
            }),
        }
    }
}

problems!(DownloadProblems: TokenInvalid, TokenExpired, FileNotFound, LinkExpired, PreconditionFailed, RangeInvalid, Unavailable);

/// Sends an output, or a range of its bytes (RFC 9110 §14).
///
/// Signed links of a task lead here and need no token; the owner may also call it with a token and without a signature.
#[utoipa::path(get, operation_id = "download_output", path = "/api/video/download/{year}/{month}/{day}/{name}", tag = "tasks", security((), ("bearer" = [])),
    params(("year" = String, Path, description = "Of the logical key"), ("month" = String, Path, description = "Of the logical key"),
        ("day" = String, Path, description = "Of the logical key"),
        ("name" = String, Path, description = "`{id}_{name}` of the logical key; `.mp4` at its end is optional"), DownloadQuery),
    responses((status = 200, description = "The file", content(
            (inline(Binary) = "application/octet-stream"), (inline(Binary) = "audio/mp4"), (inline(Binary) = "audio/mpeg"),
            (inline(Binary) = "audio/ogg"), (inline(Binary) = "image/gif"), (inline(Binary) = "image/jpeg"),
            (inline(Binary) = "image/png"), (inline(Binary) = "image/webp"), (inline(Binary) = "video/mp4"),
            (inline(Binary) = "video/webm"))),
        (status = 206, description = "The range; of the media type of the file", body = inline(Binary), content_type = "application/octet-stream"),
        (status = 304, description = "The client has it already"),
        (status = 307, description = "To the owner: the output is a set of files; the one that names the others is there"), DownloadProblems))]
pub(crate) async fn download(
    State(state): State<AppState>,
    headers: HeaderMap,
    granted: Granted,
) -> Result<Response, Error> {
    let Granted {
        task,
        output,
        playing,
        expires,
    } = granted;
    if output.entry.is_some() {
        // Relative to this path, whatever the host is called.
        let link = state.links.path(&task, &output, playing, Utc::now());
        return Ok(Redirect::temporary(&format!("/api/video/{link}")).into_response());
    }
    let file = File {
        key: Key::parse(&output.key).map_err(|error| Error::Internal(error.into()))?,
        bytes: u64::try_from(output.bytes).unwrap_or_default(),
        version: Version::new(&output.sha256, made_at(&task)),
        absent: Code::FileNotFound,
        headers: headers_of(&task, &output, expires),
    };
    file.send(&state, &headers).await
}

/// When the outputs of a task became visible.
fn made_at(task: &task::Model) -> DateTime<Utc> {
    task.finished_at.unwrap_or(task.timestamp)
}

/// How long a cache of the caller's own may keep what lies behind a link: as long as the link opens it, and an hour at most.
/// The owner's path without a proof stays the same for ever, so what is kept of it is asked after each time.
fn cache_control(expires: Option<i64>) -> HeaderValue {
    let left_s = expires.map(|expires| (expires - Utc::now().timestamp()).clamp(0, 3_600));
    let text = left_s.map_or_else(
        || "private, no-cache".to_owned(),
        |left_s| format!("private, max-age={left_s}"),
    );
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("private, no-cache"))
}

fn headers_of(task: &task::Model, output: &output::Model, expires: Option<i64>) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("attachment"));
    let name = disposition::file_name(&task.display_name, &output.name);
    let media_type = HeaderValue::from_str(&output.media_type);
    HeaderMap::from_iter([
        (CACHE_CONTROL, cache_control(expires)),
        (CONTENT_DISPOSITION, value(&disposition::attachment(&name))),
        (
            CONTENT_TYPE,
            media_type.unwrap_or(HeaderValue::from_static("application/octet-stream")),
        ),
    ])
}
