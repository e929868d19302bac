//! The guest link of a path, by its id, or its token.

use super::path::{parse_path, read_path};
use super::principal::{Owned, Principal};
use crate::AppState;
use crate::error::Error;
use app::guest_links::LinkToken;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::Code;
use entity::guest_link;

impl FromRequestParts<AppState> for Owned<guest_link::Model> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let Principal { account, .. } = Principal::from_request_parts(parts, state).await?;
        let id = parse_path(parts, Code::GuestLinkNotFound, "the id of a guest link").await?;
        let found = guest_link::of_user(&state.app.db, account, id);
        let found = state.app.with_timeout(found).await?;
        Ok(Self(found.ok_or(Code::GuestLinkNotFound)?))
    }
}

/// The token of a guest link in the path. It is not echoed in errors.
#[derive(Debug)]
pub(crate) struct LinkTokenPath(pub(crate) LinkToken);

impl FromRequestParts<AppState> for LinkTokenPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Error> {
        let text: Result<String, _> = read_path(parts, Code::GuestLinkNotFound).await;
        let text = text.map_err(|_| Code::GuestLinkNotFound)?;
        Ok(Self(LinkToken::given(text)))
    }
}
