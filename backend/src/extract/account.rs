//! The authenticated account, and the tasks that it owns. A task of another account is a 404 of the extractor, not an
//! `if` in a handler.

use crate::AppState;
use crate::error::{Error, Refusal};
use axum::extract::{self, FromRequestParts, Path};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use domain::{Code, TaskId, UserId};
use entity::{DbErr, task};

/// The existing account of the access token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CurrentUser(pub(crate) UserId);

impl FromRequestParts<AppState> for CurrentUser {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let user = bearer(&parts.headers, state)?;
        tracing::debug!(user = %user, "authenticated");
        check_exists(user, state).await.map(Self)
    }
}

impl extract::OptionalFromRequestParts<AppState> for CurrentUser {
    type Rejection = Error;

    /// For operations that are public but show more to an account. `None` without a token; an invalid token is an
    /// error.
    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Option<Self>, Error> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        let user = <Self as FromRequestParts<AppState>>::from_request_parts(parts, state).await;
        user.map(Some)
    }
}

/// A row that the account of the access token owns.
#[derive(Clone, Debug)]
pub(crate) struct Owned<T>(pub(crate) T);

impl FromRequestParts<AppState> for Owned<task::Model> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        find_owned(parts, state, async |user, id| task::of_user(&state.db, user, id).await).await
    }
}

impl FromRequestParts<AppState> for Owned<task::TaskDetails> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        find_owned(parts, state, async |user, id| state.task_loader.load(user, id).await).await
    }
}

/// Finds a task of the account. If there is one, the account exists, because the row refers to it: so the usual case
/// takes one query.
async fn find_owned<T>(
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
    check_exists(user, state).await?;
    Err(Code::TaskNotFound.into())
}

async fn check_exists(user: UserId, state: &AppState) -> Result<UserId, Error> {
    if state.with_timeout(entity::user::exists(&state.db, user)).await? {
        Ok(user)
    } else {
        Err(Code::TokenInvalid.into())
    }
}

/// The account of a valid bearer token (RFC 6750 §2.1). It may have been deleted since the token was issued.
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
