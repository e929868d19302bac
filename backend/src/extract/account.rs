//! Who asks, and the rows that are theirs. Somebody else's row is a 404 made here, not an `if` in a handler.

use crate::AppState;
use crate::error::{Error, Refusal};
use axum::extract::{self, FromRequestParts, Path};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use domain::{Code, TaskId, UserId};
use entity::{DbErr, task};

/// The account that sent the token; it exists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CurrentUser(pub(crate) UserId);

impl FromRequestParts<AppState> for CurrentUser {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let user = bearer(&parts.headers, state)?;
        tracing::debug!(user = %user, "signed in");
        existing(user, state).await.map(Self)
    }
}

impl extract::OptionalFromRequestParts<AppState> for CurrentUser {
    type Rejection = Error;

    /// For what everybody may see and an account sees more of: whoever sends no token is nobody, and whoever sends a bad
    /// one is told so.
    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Option<Self>, Error> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        let user = <Self as FromRequestParts<AppState>>::from_request_parts(parts, state).await;
        user.map(Some)
    }
}

/// A row of the account that sent the token.
#[derive(Clone, Debug)]
pub(crate) struct Owned<T>(pub(crate) T);

impl FromRequestParts<AppState> for Owned<task::Model> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        owned(parts, state, async |user, id| task::of_user(&state.db, user, id).await).await
    }
}

impl FromRequestParts<AppState> for Owned<task::Whole> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        owned(parts, state, async |user, id| state.desk.whole(user, id).await).await
    }
}

/// One query for a task that is theirs: its row refers to the account, which therefore exists.
async fn owned<T>(
    parts: &mut Parts,
    state: &AppState,
    find: impl AsyncFnOnce(UserId, TaskId) -> Result<Option<T>, DbErr>,
) -> Result<Owned<T>, Error> {
    let user = bearer(&parts.headers, state)?;
    let id = Path::<String>::from_request_parts(parts, state).await.ok();
    if let Some(id) = id.and_then(|Path(text)| text.parse().ok())
        && let Some(row) = find(user, id).await?
    {
        return Ok(Owned(row));
    }
    existing(user, state).await?;
    Err(Code::TaskNotFound.into())
}

async fn existing(user: UserId, state: &AppState) -> Result<UserId, Error> {
    if state.in_time(entity::user::exists(&state.db, user)).await? {
        Ok(user)
    } else {
        Err(Code::TokenInvalid.into())
    }
}

/// The account named by a valid token of the scheme `Bearer` (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap, state: &AppState) -> Result<UserId, Error> {
    let refused = |code| Refusal::new(code).detail("accepted: Authorization: Bearer TOKEN, with the token of a login");
    let header = headers.get(AUTHORIZATION).ok_or_else(|| refused(Code::TokenMissing))?;
    let (scheme, token) = header
        .to_str()
        .ok()
        .and_then(|text| text.trim().split_once(' '))
        .ok_or_else(|| refused(Code::TokenInvalid))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused(Code::TokenInvalid).into());
    }
    Ok(state.tokens.verify(token.trim()).map_err(refused)?)
}
