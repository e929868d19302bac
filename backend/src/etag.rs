//! `ETag` of JSON replies. A client that polls sends `If-None-Match` and gets 304 without a body while nothing has
//! changed (RFC 9110 §15.4.5).
//!
//! The tag of a task is known before its JSON is built ([`reply_unless_known`]), because tasks are polled most. It ends
//! in the state of the task, so that a later request for a change tells which state the client knows
//! ([`known_states`]). Any other JSON reply is built and hashed ([`add_etag`]), so that only the transfer is saved.

use crate::routes::video::{if_none_match, matches_if_none_match};
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, VARY};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// The states in the tags of `If-None-Match`. `None` without the header, and for `*`, which names none.
pub(crate) fn known_states(request: &HeaderMap) -> Option<Vec<String>> {
    let tags = if_none_match(request).filter(|tags| !tags.iter().any(|tag| tag == "*"))?;
    let state = |tag: &String| Some(tag.trim_end_matches('"').split_once('-')?.1.to_owned());
    Some(tags.iter().filter_map(state).collect())
}

/// Answers 304 when the request names the tag in `If-None-Match`. Otherwise builds the reply and adds the tag.
pub(crate) fn reply_unless_known<R: IntoResponse>(
    request: &HeaderMap,
    etag: &str,
    reply: impl FnOnce() -> R,
) -> Response {
    if matches_if_none_match(request, etag) {
        return not_modified(etag);
    }
    let mut response = reply().into_response();
    add_headers(response.headers_mut(), etag);
    response
}

/// [`reply_unless_known`] for a reply that takes time, or may fail.
pub(crate) async fn unless_known<E>(
    request: &HeaderMap,
    etag: &str,
    reply: impl AsyncFnOnce() -> Result<Response, E>,
) -> Result<Response, E> {
    if matches_if_none_match(request, etag) {
        return Ok(not_modified(etag));
    }
    let mut response = reply().await?;
    add_headers(response.headers_mut(), etag);
    Ok(response)
}

/// Middleware: adds an `ETag` to the JSON reply of a GET that has none, and answers 304 when the request names it in
/// `If-None-Match`.
pub(crate) async fn add_etag(request: Request, next: Next) -> Response {
    // Health is the state of this moment: no client should reuse it.
    let path = request.uri().path();
    let is_cacheable = *request.method() == Method::GET && path.starts_with("/api/") && path != "/api/health";
    let request_headers = request.headers().clone();
    let response = next.run(request).await;
    let is_untagged_json = is_json(response.headers()) && !response.headers().contains_key(ETAG);
    if !is_cacheable || response.status() != StatusCode::OK || !is_untagged_json {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The JSON is in memory already, so reading it has no limit and cannot fail.
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let digest = hex::encode(Sha256::digest(&bytes));
    // Weak, because the same reply may also be sent compressed.
    let etag = format!("W/\"{}\"", digest.get(..32).unwrap_or(&digest));
    if matches_if_none_match(&request_headers, &etag) {
        return not_modified(&etag);
    }
    add_headers(&mut parts.headers, &etag);
    Response::from_parts(parts, Body::from(bytes))
}

fn not_modified(etag: &str) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    add_headers(response.headers_mut(), etag);
    // Replies with a body get it later, with their language (`access_log.rs`).
    response
        .headers_mut()
        .append(VARY, HeaderValue::from_static("accept-language"));
    response
}

fn add_headers(headers: &mut HeaderMap, etag: &str) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.append(VARY, HeaderValue::from_static("authorization"));
    if let Ok(value) = HeaderValue::from_str(etag) {
        headers.insert(ETAG, value);
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}
