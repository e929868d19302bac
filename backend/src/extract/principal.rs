//! The authenticated principal, and the tasks that its account owns. A task of another account is a 404 of the
//! extractor, not an `if` in a handler.

use super::path::{parse_path, read_path};
use crate::AppState;
use crate::error::{Error, Refusal};
use crate::routes::parameters::parameter;
use app::guest_links;
use app::uploads::Uploader;
use axum::extract::{self, FromRequestParts, Query};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use domain::{Code, Scopes, TaskId, UserId, VideoId};
use entity::{DbErr, task};

/// The existing account of a credential, and what the credential allows. The only credential is the token of a login,
/// which allows everything, so no operation asks for a scope.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Principal {
    /// The account.
    pub(crate) account: UserId,
    /// The permissions.
    pub(crate) scopes: Scopes,
    /// The time at which the credential expires.
    pub(crate) expires_at: DateTime<Utc>,
}

impl FromRequestParts<AppState> for Principal {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let principal = bearer(&parts.headers, state)?;
        tracing::debug!(user = %principal.account, scopes = ?principal.scopes, "authenticated");
        check_exists(principal.account, state).await?;
        Ok(principal)
    }
}

impl extract::OptionalFromRequestParts<AppState> for Principal {
    type Rejection = Error;

    /// For operations that are public but show more to an account. `None` without a token; an invalid token is an
    /// error.
    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Option<Self>, Error> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        let principal = <Self as FromRequestParts<AppState>>::from_request_parts(parts, state).await;
        principal.map(Some)
    }
}

/// The sender of a resumable upload: an account, or a guest with a session.
#[derive(Clone, Debug)]
pub(crate) enum Sender {
    /// An account.
    Account(Principal),
    /// A guest.
    Guest(Uploader),
}

impl Sender {
    /// The sender as the use cases know it.
    pub(crate) fn uploader(&self) -> Uploader {
        match self {
            Self::Account(principal) => principal.account.into(),
            Self::Guest(guest) => guest.clone(),
        }
    }
}

impl FromRequestParts<AppState> for Sender {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let Ok(session) = state.tokens.verify_guest(bearer_token(&parts.headers)?) else {
            return Principal::from_request_parts(parts, state).await.map(Self::Account);
        };
        require_database(state)?;
        Ok(Self::Guest(guest_links::uploader(&state.app, session).await?))
    }
}

/// The account of a credential, for reads that the catalog answers. While the database is away, the catalog tells if
/// the account exists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer(pub(crate) UserId);

impl FromRequestParts<AppState> for Viewer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let Principal { account, .. } = bearer(&parts.headers, state)?;
        app::accounts::check_viewer(&state.app, account).await?;
        Ok(Self(account))
    }
}

/// The account of a stream: of a token in the header or in a cookie, or of a ticket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamViewer {
    pub(crate) account: UserId,
    /// The time at which the token expires.
    pub(crate) expires_at: DateTime<Utc>,
}

/// The cookie that a page sets for `EventSource`, which cannot send the header. No other operation reads it, so a
/// request that a page of another origin causes changes nothing.
pub(crate) const TOKEN_COOKIE: &str = "rushes_token";

impl FromRequestParts<AppState> for StreamViewer {
    type Rejection = Error;

    /// The header is read first, then the ticket, then the cookie.
    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).ok();
        let ticket = match &query {
            Some(Query(pairs)) if !parts.headers.contains_key(AUTHORIZATION) => parameter(pairs, "ticket")?,
            _ => None,
        };
        let verified = match ticket {
            Some(ticket) => state.tokens.verify_ticket(ticket),
            None => state.tokens.verify(stream_token(&parts.headers)?),
        };
        let (account, expires_at) = verified.map_err(refused)?;
        check_exists(account, state).await?;
        Ok(Self { account, expires_at })
    }
}

/// The id of a video in the path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VideoPath(pub(crate) VideoId);

impl FromRequestParts<AppState> for VideoPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Error> {
        let id = parse_path(parts, Code::VideoNotFound, "the id of a video").await?;
        Ok(Self(id))
    }
}

/// The name of a published video in the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LibraryId {
    /// The id of a public video.
    Number(VideoId),
    /// The last part of a public address.
    PublicId(String),
}

impl FromRequestParts<AppState> for LibraryId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Error> {
        let text: String = read_path(parts, Code::VideoNotFound).await?;
        // A public id has 32 digits of hexadecimal, more than any number.
        Ok(text.parse().map_or(Self::PublicId(text), Self::Number))
    }
}

/// A row that the account of the principal owns.
#[derive(Clone, Debug)]
pub(crate) struct Owned<T>(pub(crate) T);

impl FromRequestParts<AppState> for Owned<task::Model> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        find_owned(parts, state, async |account, id| {
            task::of_user(&state.app.db, account, id).await
        })
        .await
    }
}

impl FromRequestParts<AppState> for Owned<task::TaskDetails> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        find_owned(parts, state, async |account, id| {
            state.task_reads.read((account, id)).await
        })
        .await
    }
}

/// Finds a task of the account. If there is one, the account exists, because the row refers to it: so the usual case
/// takes one query.
async fn find_owned<T>(
    parts: &mut Parts,
    state: &AppState,
    find: impl AsyncFnOnce(UserId, TaskId) -> Result<Option<T>, DbErr>,
) -> Result<Owned<T>, Error> {
    let Principal { account, .. } = bearer(&parts.headers, state)?;
    require_database(state)?;
    let id = parse_path(parts, Code::TaskNotFound, "the id of a task").await;
    let found = match &id {
        Ok(id) => find(account, *id).await?,
        Err(_) => None,
    };
    if let Some(row) = found {
        return Ok(Owned(row));
    }
    check_exists(account, state).await?;
    id?;
    Err(Code::TaskNotFound.into())
}

async fn check_exists(account: UserId, state: &AppState) -> Result<(), Error> {
    require_database(state)?;
    if state
        .app
        .with_timeout(entity::user::exists(&state.app.db, account))
        .await?
    {
        Ok(())
    } else {
        Err(Code::TokenInvalid.into())
    }
}

/// While the database is away, the answer is `unavailable` at once, instead of after the time limit of a query.
fn require_database(state: &AppState) -> Result<(), Error> {
    let is_degraded = state.app.library.is_degraded();
    (!is_degraded).then_some(()).ok_or_else(|| Code::Unavailable.into())
}

/// The principal of a valid bearer token (RFC 6750 §2.1). Its account may have been deleted since the token was issued.
pub(crate) fn bearer(headers: &HeaderMap, state: &AppState) -> Result<Principal, Refusal> {
    let (account, expires_at) = state.tokens.verify(bearer_token(headers)?).map_err(refused)?;
    Ok(Principal {
        account,
        scopes: Scopes::ALL,
        expires_at,
    })
}

fn refused(code: Code) -> Refusal {
    Refusal::new(code).detail("accepted: Authorization: Bearer TOKEN, with the token of a login")
}

/// The valid session of a guest in the header, if there is one.
pub(crate) fn guest_session(headers: &HeaderMap, state: &AppState) -> Option<guest_links::Session> {
    bearer_token(headers)
        .ok()
        .and_then(|token| state.tokens.verify_guest(token).ok())
}

/// The text of a bearer token.
fn bearer_token(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let header = lines.next().ok_or_else(|| refused(Code::TokenMissing))?;
    // A proxy could check another line than this one.
    if lines.next().is_some() {
        return Err(refused(Code::TokenInvalid));
    }
    let (scheme, token) = header
        .to_str()
        .ok()
        .and_then(|text| text.trim().split_once(' '))
        .ok_or_else(|| refused(Code::TokenInvalid))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused(Code::TokenInvalid));
    }
    Ok(token.trim())
}

/// The text of the token in the header, or else in the cookie (RFC 6265 §4.2).
fn stream_token(headers: &HeaderMap) -> Result<&str, Refusal> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    match pairs.find(|(name, _)| *name == TOKEN_COOKIE) {
        Some((_, token)) if !headers.contains_key(AUTHORIZATION) => Ok(token),
        _ => bearer_token(headers),
    }
}
