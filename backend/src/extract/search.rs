//! Searches in the background: the preference for one, and the id of one in the path.

use super::Viewer;
use super::path::parse_path;
use crate::AppState;
use crate::error::Error;
use app::searches::SearchId;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::HeaderName;
use axum::http::request::Parts;
use domain::{Code, UserId};

/// Header of RFC 7240.
pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The preference for a reply later.
pub(crate) const RESPOND_ASYNC: &str = "respond-async";

/// The account that prefers a reply later (RFC 7240 §4.1); `None` without this preference. The preference needs a
/// token, also in public operations, because the result belongs to an account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AsyncViewer(pub(crate) Option<UserId>);

impl FromRequestParts<AppState> for AsyncViewer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        if !prefers_async(&parts.headers) {
            return Ok(Self(None));
        }
        let Viewer(account) = Viewer::from_request_parts(parts, state).await?;
        Ok(Self(Some(account)))
    }
}

/// Returns `true` if one of the preferences is `respond-async`, which has no value and may have parameters.
fn prefers_async(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(PREFER).iter().filter_map(|line| line.to_str().ok());
    let mut preferences = lines.flat_map(|line| line.split(','));
    preferences.any(|preference| {
        let name = preference.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(RESPOND_ASYNC)
    })
}

/// The id of a search in the path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SearchPath(pub(crate) SearchId);

impl FromRequestParts<AppState> for SearchPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Error> {
        let id = parse_path(parts, Code::SearchNotFound, "the id of a search").await?;
        Ok(Self(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preference_is_found_among_others() {
        for (lines, expected) in [
            (&["respond-async"][..], true),
            (&["wait=10, Respond-Async; x=1"], true),
            (&["return=minimal", "respond-async"], true),
            (&["return=respond-async"], false),
            (&["wait=10"], false),
            (&[], false),
        ] {
            let headers = lines.iter().map(|line| (PREFER, line.parse().unwrap()));
            assert_eq!(prefers_async(&headers.collect()), expected, "{lines:?}");
        }
    }
}
