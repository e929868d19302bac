//! Webhooks and deliveries in the path.

use super::path::parse_path;
use super::principal::{Owned, Principal};
use crate::AppState;
use crate::error::Error;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::Code;
use entity::webhook;
use std::str::FromStr;
use uuid::Uuid;

impl FromRequestParts<AppState> for Owned<webhook::Model> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let Principal { account, .. } = Principal::from_request_parts(parts, state).await?;
        let id = parse_path(parts, Code::WebhookNotFound, "the id of a webhook").await?;
        let found = webhook::of_user(&state.app.db, account, id);
        let found = state.app.with_timeout(found).await?;
        Ok(Self(found.ok_or(Code::WebhookNotFound)?))
    }
}

/// The id of a message, in its only spelling.
#[derive(Clone, Debug)]
pub(crate) struct DeliveryPath(pub(crate) String);

impl FromStr for DeliveryPath {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let id = text.strip_prefix("msg_").and_then(|id| id.parse::<Uuid>().ok());
        id.map(|id| Self(format!("msg_{}", id.simple()))).ok_or(())
    }
}

impl FromRequestParts<AppState> for DeliveryPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Error> {
        Ok(parse_path(parts, Code::DeliveryNotFound, "the id of a message").await?)
    }
}
