//! The id of a resumable upload in the path.

use super::path::parse_path;
use crate::AppState;
use crate::error::Error;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::Code;
use uuid::Uuid;

/// The id of a resumable upload in the path, in its only spelling.
#[derive(Clone, Debug)]
pub(crate) struct UploadPath(pub(crate) String);

impl FromRequestParts<AppState> for UploadPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Error> {
        let id: Uuid = parse_path(parts, Code::UploadNotFound, "the id of an upload").await?;
        Ok(Self(id.hyphenated().to_string()))
    }
}
