//! `ETag` of JSON replies. A client that polls sends `If-None-Match` and gets 304 without a body while nothing has
//! changed (RFC 9110 §15.4.5). The handler still does all its work; only the transfer is saved.
//!
//! The tag is a hash of the reply. A reply about something that has a state ([`StateTag`]) has the state at the end of
//! its tag, so that a later request for a change tells which state the client knows.

use crate::routes::video::{if_none_match, matches_if_none_match};
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};

/// The state that a reply shows, an extension of the response. It has no quotes and no commas.
#[derive(Clone, Debug)]
pub(crate) struct StateTag(pub(crate) String);

/// The states in the tags of `If-None-Match`. `None` without the header, and for `*`, which names none.
pub(crate) fn known_states(request: &HeaderMap) -> Option<Vec<String>> {
    let tags = if_none_match(request).filter(|tags| !tags.iter().any(|tag| tag == "*"))?;
    let state = |tag: &String| Some(tag.trim_end_matches('"').split_once('-')?.1.to_owned());
    Some(tags.iter().filter_map(state).collect())
}

/// Middleware: adds an `ETag` to the JSON reply of a GET, and answers 304 when the request names it in `If-None-Match`.
pub(crate) async fn add_etag(request: Request, next: Next) -> Response {
    // Health is the state of this moment: no client should reuse it.
    let path = request.uri().path();
    let is_cacheable = *request.method() == Method::GET && path.starts_with("/api/") && path != "/api/health";
    let request_headers = request.headers().clone();
    let response = next.run(request).await;
    if !is_cacheable || response.status() != StatusCode::OK || !is_json(response.headers()) {
        return response;
    }
    let state = response.extensions().get::<StateTag>();
    let state = state.map(|StateTag(state)| format!("-{state}")).unwrap_or_default();
    let (mut parts, body) = response.into_parts();
    // The JSON is in memory already, so reading it has no limit and cannot fail.
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let digest = hex::encode(Sha256::digest(&bytes));
    // Weak, because the same reply may also be sent compressed.
    let etag = format!("W/\"{}{state}\"", digest.get(..32).unwrap_or(&digest));
    let headers = &mut parts.headers;
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.append(VARY, HeaderValue::from_static("authorization"));
    if let Ok(value) = HeaderValue::from_str(&etag) {
        headers.insert(ETAG, value);
    }
    if !matches_if_none_match(&request_headers, &etag) {
        return Response::from_parts(parts, Body::from(bytes));
    }
    for name in [CONTENT_TYPE, CONTENT_LENGTH] {
        headers.remove(name);
    }
    headers.append(VARY, HeaderValue::from_static("accept-language"));
    parts.status = StatusCode::NOT_MODIFIED;
    Response::from_parts(parts, Body::empty())
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}
