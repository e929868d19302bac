//! The import of a path.

use super::path::parse_path;
use super::principal::{Owned, Principal};
use crate::AppState;
use crate::error::Error;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::Code;
use entity::import;

impl FromRequestParts<AppState> for Owned<import::Model> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let Principal { account, .. } = Principal::from_request_parts(parts, state).await?;
        let id = parse_path(parts, Code::ImportNotFound, "the id of an import").await?;
        Ok(Self(app::imports::show(&state.app, account, id).await?))
    }
}
