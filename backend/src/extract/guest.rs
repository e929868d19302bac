//! The guest link of a path: its id, or its token.

use super::path::{parse_path, read_path};
use crate::AppState;
use crate::error::Error;
use app::guest_links::LinkToken;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::Code;

/// The id of a guest link in the path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuestLinkPath(pub(crate) i64);

impl FromRequestParts<AppState> for GuestLinkPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Error> {
        let id = parse_path(parts, Code::GuestLinkNotFound, "the id of a guest link").await?;
        Ok(Self(id))
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
