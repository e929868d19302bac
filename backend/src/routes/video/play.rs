//! The files of a set (an adaptive stream, stills with their index), whose members name each other by relative URIs:
//! what proves the link stands in the path, so that every such URI leads to a link that is proven as well.

use super::{File, Version, cache_control, made_at};
use crate::AppState;
use crate::error::Error;
use crate::extract::CurrentUser;
use crate::links::{Grant, Proof, Worth};
use crate::openapi::{Binary, problems};
use axum::extract::{FromRequestParts, Path, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use chrono::{DateTime, Utc};
use domain::{Code, TaskId};
use entity::{output, task};
use storage::{FileName, Key, Target};

/// A file of a set that this request may read.
pub(crate) struct Member {
    key: Key,
    name: FileName,
    set: output::Model,
    made_at: DateTime<Utc>,
    /// Seconds since 1970 at which the link ends; `None` for the owner.
    expires: Option<i64>,
}

impl FromRequestParts<AppState> for Member {
    type Rejection = Error;

    /// A caller who may not read it learns the same as if it were not there, but for one whose link has expired.
    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let absent = || Error::from(Code::FileNotFound);
        let path = Path::<[String; 7]>::from_request_parts(parts, state).await;
        let Ok(Path([token, year, month, day, task, output, file])) = path else {
            return Err(absent());
        };
        let file_path = format!("{year}/{month}/{day}/{task}");
        let grant = Grant {
            file_path: &file_path,
            output: &output,
        };
        let proof = Proof::from_token(&token);
        let worth = proof
            .as_ref()
            .map_or(Worth::Nothing, |proof| state.links.worth(proof, grant, Utc::now()));
        let has_token = parts.headers.contains_key(AUTHORIZATION);
        let owner = match worth {
            Worth::Valid => None,
            Worth::Nothing if !has_token => return Err(absent()),
            Worth::Nothing => Some(CurrentUser::from_request_parts(parts, state).await?.0),
            // A bad token does not make the link any worse.
            Worth::Expired => {
                let user = CurrentUser::from_request_parts(parts, state).await;
                user.ok().map(|CurrentUser(user)| user)
            }
        };
        let id = task.split_once('_').and_then(|(id, _)| id.parse::<TaskId>().ok());
        let found = task::by_path(&state.db, id.ok_or_else(absent)?, &file_path).await?;
        let task = found.ok_or_else(absent)?;
        match worth {
            Worth::Valid => {}
            _ if owner == Some(task.owner()) => {}
            Worth::Expired => return Err(Code::LinkExpired.into()),
            Worth::Nothing => return Err(absent()),
        }
        let outputs = output::of_task(&state.db, task.id).await?;
        let set = outputs
            .into_iter()
            .find(|row| row.name == output && row.entry.is_some());
        let (set, name) = set.zip(FileName::parse(&file).ok()).ok_or_else(absent)?;
        let Ok(Target::Set(place)) = Target::parse(&set.key) else {
            return Err(absent());
        };
        let key = place.file(&name).map_err(|_| absent())?;
        Ok(Self {
            key,
            name,
            set,
            made_at: made_at(&task),
            expires: proof.filter(|_| worth == Worth::Valid).map(|proof| proof.expires),
        })
    }
}

problems!(PlayProblems: TokenInvalid, TokenExpired, FileNotFound, LinkExpired, PreconditionFailed, RangeInvalid, Unavailable);

/// Sends a file of a set, or a range of its bytes.
///
/// The link of a set in a task leads to its entry, a playlist or an index; the relative links in there lead here as well.
#[utoipa::path(get, operation_id = "play_output", path = "/api/video/play/{token}/{year}/{month}/{day}/{name}/{output}/{file}",
    tag = "tasks", security((), ("bearer" = [])),
    params(("token" = String, Path, description = "What proves the link; the owner may write anything here"),
        ("year" = String, Path, description = "Of the logical key"), ("month" = String, Path, description = "Of the logical key"),
        ("day" = String, Path, description = "Of the logical key"),
        ("name" = String, Path, description = "`{id}_{name}` of the logical key"),
        ("output" = String, Path, description = "The name of the output"),
        ("file" = String, Path, description = "The name of a file of the set")),
    responses((status = 200, description = "The file", content(
            (inline(Binary) = "application/octet-stream"), (inline(Binary) = "application/vnd.apple.mpegurl"),
            (inline(Binary) = "audio/mp4"), (inline(Binary) = "image/jpeg"), (inline(Binary) = "text/vtt"),
            (inline(Binary) = "video/mp4"))),
        (status = 206, description = "The range; of the media type of the file", body = inline(Binary), content_type = "application/octet-stream"),
        (status = 304, description = "The client has it already"), PlayProblems))]
pub(crate) async fn play(State(state): State<AppState>, headers: HeaderMap, member: Member) -> Result<Response, Error> {
    let Member {
        key,
        name,
        set,
        made_at,
        expires,
    } = member;
    let bytes = state.storage.head(&key).await?.ok_or(Code::FileNotFound)?;
    let file = File {
        key,
        bytes,
        // A row never changes, nor do the files below it.
        version: Version::new(&format!("{}-{name}", set.id), made_at),
        absent: Code::FileNotFound,
        headers: HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static(media_type(name.as_str()))),
            (CACHE_CONTROL, cache_control(expires)),
        ]),
    };
    file.send(&state, &headers).await
}

fn media_type(name: &str) -> &'static str {
    let sound = name.starts_with("audio");
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("m4s" | "mp4") if sound => "audio/mp4",
        Some("m4s" | "mp4") => "video/mp4",
        Some("vtt") => "text/vtt",
        Some("jpg") => "image/jpeg",
        _ => "application/octet-stream",
    }
}
