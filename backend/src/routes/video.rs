//! Downloads of outputs, authorized by a signed link or by the access token of the owner.

mod conditions;
mod disposition;
mod play;
mod range;
mod redirect;
mod send;

pub(crate) use conditions::{Validators, if_none_match, matches_if_none_match};
pub(crate) use play::*;
pub(crate) use send::{FileResponse, reading_time};

use crate::AppState;
use crate::error::Error;
use crate::extract::{Principal, read_path};
use crate::links::{Grant, LinkStatus, Proof, playing_time};
use crate::openapi::{Binary, problems};
use axum::extract::{FromRequestParts, Query, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Utc;
use domain::{Code, TaskId};
use entity::{output, task};
use send::{cache_control, visible_since};
use serde::Deserialize;
use std::time::Duration;
use storage::Key;
use utoipa::IntoParams;

/// The query parameters of a download.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DownloadQuery {
    /// The name of an output; the main output when absent.
    output: Option<String>,
    /// Expiry of the link in seconds since the Unix epoch; only with `key` and `signature`.
    #[param(value_type = Option<i64>)]
    expires: Option<String>,
    /// Id of the key that signed the link.
    key: Option<String>,
    /// Signature of the link.
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

/// An output that the request is authorized to read.
pub(crate) struct AuthorizedOutput {
    task: task::Model,
    output: output::Model,
    /// Duration of the longest output of the task.
    playing: Duration,
    /// Expiry of the link in seconds since the Unix epoch; `None` for the owner.
    expires: Option<i64>,
}

impl FromRequestParts<AppState> for AuthorizedOutput {
    type Rejection = Error;

    /// Authorizes by the signature in the query or by the access token of the owner. Without either the answer is
    /// `file_not_found`, so that it does not tell if the file exists; an expired link gets `link_expired`.
    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let absent = || Error::from(Code::FileNotFound);
        let [year, month, day, name]: [String; 4] = read_path(parts, Code::FileNotFound).await?;
        let query = Query::<DownloadQuery>::try_from_uri(&parts.uri)
            .map_err(|_| absent())?
            .0;
        let owner = match (&query.signature, parts.headers.contains_key(AUTHORIZATION)) {
            (None, false) => return Err(absent()),
            (None, true) => Some(
                <Principal as FromRequestParts<_>>::from_request_parts(parts, state)
                    .await?
                    .account,
            ),
            // Either of the two is enough: a browser may send an expired link with a valid token, or a valid link with
            // the token of another account.
            (Some(_), _) => <Principal as FromRequestParts<_>>::from_request_parts(parts, state)
                .await
                .ok()
                .map(|principal| principal.account),
        };
        let name = name.strip_suffix(".mp4").unwrap_or(&name);
        let id = name
            .split_once('_')
            .and_then(|(id, _)| id.parse::<TaskId>().ok())
            .ok_or_else(absent)?;
        let found = task::by_path(&state.app.db, id, &format!("{year}/{month}/{day}/{name}")).await?;
        let task = found.ok_or_else(absent)?;
        let is_owner = owner == Some(task.owner());
        let outputs = output::of_task(&state.app.db, task.id).await?;
        let playing = playing_time(&outputs);
        let output = match &query.output {
            Some(wanted) => outputs.into_iter().find(|output| output.name == *wanted),
            None => outputs.into_iter().next(),
        };
        // The signed link of a set leads to its files (`play.rs`). If it were accepted here, this operation would
        // redirect to a new link, and so a link would never expire.
        let output = output
            .filter(|output| is_owner || output.entry.is_none())
            .ok_or_else(absent)?;
        let grant = Grant {
            file_path: &task.file_path,
            output: &output.name,
        };
        let proof = query.proof().filter(|_| !is_owner);
        let status = proof
            .as_ref()
            .map_or(LinkStatus::Invalid, |proof| state.links.check(proof, grant, Utc::now()));
        match status {
            LinkStatus::Invalid if !is_owner => Err(absent()),
            LinkStatus::Expired => Err(Code::LinkExpired.into()),
            LinkStatus::Invalid | LinkStatus::Valid => Ok(Self {
                task,
                output,
                playing,
                expires: proof.map(|proof| proof.expires),
            }),
        }
    }
}

problems!(DownloadProblems: TokenInvalid, TokenExpired, FileNotFound, LinkExpired, PreconditionFailed, RangeInvalid, Unavailable);

/// Downloads an output, or a range of its bytes (RFC 9110 §14).
///
/// The signed links of a task lead here and need no token. The owner may also use an access token instead of a
/// signature.
#[utoipa::path(get, operation_id = "download_output", path = "/video/download/{year}/{month}/{day}/{name}", tag = "tasks", security((), ("bearer" = [])),
    params(("year" = String, Path, description = "Of the logical key"), ("month" = String, Path, description = "Of the logical key"),
        ("day" = String, Path, description = "Of the logical key"),
        ("name" = String, Path, description = "`{id}_{name}` of the logical key; `.mp4` at its end is optional"), DownloadQuery),
    responses((status = 200, description = "The file", content(
            (inline(Binary) = "application/octet-stream"), (inline(Binary) = "audio/mp4"), (inline(Binary) = "audio/mpeg"),
            (inline(Binary) = "audio/ogg"), (inline(Binary) = "image/gif"), (inline(Binary) = "image/jpeg"),
            (inline(Binary) = "image/png"), (inline(Binary) = "image/webp"), (inline(Binary) = "video/mp4"),
            (inline(Binary) = "video/webm"))),
        (status = 206, description = "The range, with the media type of the file", body = inline(Binary), content_type = "application/octet-stream"),
        (status = 304, description = "The client has this version already"),
        (status = 307, description = "The file is at the address in `Location`: the entry file of a set, or a signed URL of the bucket"), DownloadProblems))]
pub(crate) async fn download(
    State(state): State<AppState>,
    request: Parts,
    authorized: AuthorizedOutput,
) -> Result<Response, Error> {
    let AuthorizedOutput {
        task,
        output,
        playing,
        expires,
    } = authorized;
    if output.entry.is_some() {
        // Without scheme and host, so that the redirect works under any name of the service.
        let link = state.links.path(&task, &output, playing, Utc::now());
        return Ok(Redirect::temporary(&format!("/api/video/{link}")).into_response());
    }
    let file = FileResponse {
        key: Key::parse(&output.key).map_err(anyhow::Error::from)?,
        bytes: u64::try_from(output.bytes).unwrap_or_default(),
        validators: Validators::new(&output.sha256, visible_since(&task)),
        absent: Code::FileNotFound,
        headers: headers_of(&task, &output, expires),
        reading: reading_time(playing, expires),
    };
    file.send(&state, &request).await
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
