//! Downloads of the files of a set, such as an adaptive stream or a sprite with its index. These files refer to each
//! other by relative URIs. The token of the link is a path segment, so relative URIs keep it and each request is
//! authorized by the same token.

use super::conditions::Validators;
use super::send::{FileResponse, cache_control, reading_time, visible_since};
use crate::AppState;
use crate::error::Error;
use crate::extract::{Principal, read_path};
use crate::links::{Grant, LinkStatus, Proof};
use crate::openapi::{Binary, problems};
use axum::extract::{FromRequestParts, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use chrono::{DateTime, Utc};
use domain::{Code, TaskId, media_type_of_file};
use entity::{output, task};
use std::time::Duration;
use storage::{FileName, Key, Target};

/// A file of a set that the request is authorized to read.
pub(crate) struct SetFile {
    key: Key,
    name: FileName,
    set: output::Model,
    visible_since: DateTime<Utc>,
    /// Expiry of the link in seconds since the Unix epoch; `None` for the owner.
    expires: Option<i64>,
}

impl FromRequestParts<AppState> for SetFile {
    type Rejection = Error;

    /// Authorizes by the token in the path or by the access token of the owner. Without either the answer is
    /// `file_not_found`, so that it does not tell if the file exists; an expired link gets `link_expired`.
    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let absent = || Error::from(Code::FileNotFound);
        let [token, year, month, day, task, output, file]: [String; 7] = read_path(parts, Code::FileNotFound).await?;
        let file_path = format!("{year}/{month}/{day}/{task}");
        let grant = Grant {
            file_path: &file_path,
            output: &output,
        };
        let proof = Proof::from_token(&token);
        let status = proof
            .as_ref()
            .map_or(LinkStatus::Invalid, |proof| state.links.check(proof, grant, Utc::now()));
        let has_token = parts.headers.contains_key(AUTHORIZATION);
        let owner = match status {
            LinkStatus::Valid => None,
            LinkStatus::Invalid if !has_token => return Err(absent()),
            LinkStatus::Invalid => Some(Principal::from_request_parts(parts, state).await?.account),
            // With an expired link, an invalid access token is reported as `link_expired`, not as a token error.
            LinkStatus::Expired => {
                let principal = Principal::from_request_parts(parts, state).await;
                principal.ok().map(|principal| principal.account)
            }
        };
        let id = task.split_once('_').and_then(|(id, _)| id.parse::<TaskId>().ok());
        let found = task::by_path(&state.app.db, id.ok_or_else(absent)?, &file_path).await?;
        let task = found.ok_or_else(absent)?;
        match status {
            LinkStatus::Valid => {}
            _ if owner == Some(task.owner()) => {}
            LinkStatus::Expired => return Err(Code::LinkExpired.into()),
            LinkStatus::Invalid => return Err(absent()),
        }
        let outputs = output::of_task(&state.app.db, task.id).await?;
        let set = outputs
            .into_iter()
            .find(|row| row.name == output && row.entry.is_some());
        let (set, name) = set.zip(FileName::parse(&file).ok()).ok_or_else(absent)?;
        let Ok(Target::Set(directory)) = Target::parse(&set.key) else {
            return Err(absent());
        };
        let key = directory.file(&name).map_err(|_| absent())?;
        Ok(Self {
            key,
            name,
            set,
            visible_since: visible_since(&task),
            expires: proof.filter(|_| status == LinkStatus::Valid).map(|proof| proof.expires),
        })
    }
}

problems!(PlayProblems: TokenInvalid, TokenExpired, FileNotFound, LinkExpired, PreconditionFailed, RangeInvalid, Unavailable);

/// Downloads a file of a set, or a range of its bytes.
///
/// The signed link of a set in a task leads to its entry file, a playlist or an index. The relative URIs in that file
/// lead here as well.
#[utoipa::path(get, operation_id = "play_output", path = "/video/play/{token}/{year}/{month}/{day}/{name}/{output}/{file}",
    tag = "tasks", security((), ("bearer" = [])),
    params(("token" = String, Path, description = "The token of the signed link; with an access token of the owner, any text"),
        ("year" = String, Path, description = "Of the logical key"), ("month" = String, Path, description = "Of the logical key"),
        ("day" = String, Path, description = "Of the logical key"),
        ("name" = String, Path, description = "`{id}_{name}` of the logical key"),
        ("output" = String, Path, description = "The name of the output"),
        ("file" = String, Path, description = "The name of a file of the set")),
    responses((status = 200, description = "The file", content(
            (inline(Binary) = "application/octet-stream"), (inline(Binary) = "application/vnd.apple.mpegurl"),
            (inline(Binary) = "audio/mp4"), (inline(Binary) = "image/jpeg"), (inline(Binary) = "text/vtt"),
            (inline(Binary) = "video/mp4"))),
        (status = 206, description = "The range, with the media type of the file", body = inline(Binary), content_type = "application/octet-stream"),
        (status = 304, description = "The client has this version already"),
        (status = 307, description = "The file is at the address in `Location`, a signed URL of the bucket"), PlayProblems))]
pub(crate) async fn play(State(state): State<AppState>, request: Parts, set_file: SetFile) -> Result<Response, Error> {
    let SetFile {
        key,
        name,
        set,
        visible_since,
        expires,
    } = set_file;
    let bytes = state.app.storage.head(&key).await?.ok_or(Code::FileNotFound)?;
    let file = FileResponse {
        key,
        bytes,
        // The row of a set and its files never change, so the id and the name identify the version.
        validators: Validators::new(&format!("{}-{name}", set.id), visible_since),
        absent: Code::FileNotFound,
        headers: HeaderMap::from_iter([
            (
                CONTENT_TYPE,
                HeaderValue::from_static(media_type_of_file(name.as_str())),
            ),
            (CACHE_CONTROL, cache_control(expires)),
        ]),
        // A player requests each segment when it needs it.
        reading: reading_time(Duration::ZERO, expires),
    };
    file.send(&state, &request).await
}
