//! Parameters in the path. A value that no resource can have gets the error of an absent resource, with what is
//! accepted.

use crate::error::Refusal;
use axum::extract::{FromRequestParts, OriginalUri, Path};
use axum::http::request::Parts;
use domain::Code;
use serde::de::DeserializeOwned;
use std::str::FromStr;

/// Reads all parameters of the path as text.
///
/// # Errors
/// `absent` when one of them is not UTF-8.
pub(crate) async fn read_path<T: DeserializeOwned + Send>(parts: &mut Parts, absent: Code) -> Result<T, Refusal> {
    let read = Path::<T>::from_request_parts(parts, &()).await;
    read.map(|Path(parameters)| parameters)
        .map_err(|_| unaccepted(absent, full_path(parts), "UTF-8, percent-encoded"))
}

/// Parses the only parameter of the path.
///
/// # Errors
/// `absent` when it is not a `T`; the detail says that `accepted` is.
pub(crate) async fn parse_path<T: FromStr>(parts: &mut Parts, absent: Code, accepted: &str) -> Result<T, Refusal> {
    let text: String = read_path(parts, absent).await?;
    text.parse().map_err(|_| unaccepted(absent, &text, accepted))
}

/// The path of the request without slashes at its end. The path in `parts.uri` lacks the prefix of nested routes.
pub(crate) fn full_path(parts: &Parts) -> &str {
    let original = parts.extensions.get::<OriginalUri>().map(|OriginalUri(uri)| uri);
    original.unwrap_or(&parts.uri).path().trim_end_matches('/')
}

fn unaccepted(absent: Code, given: &str, accepted: &str) -> Refusal {
    let given: String = given.chars().take(100).collect();
    Refusal::new(absent).detail(format!("{given:?}; accepted: {accepted}"))
}
