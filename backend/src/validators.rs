//! Validators of what is answered in JSON: a client that has an answer already, as one that polls has, gets 304 without a body
//! (RFC 9110 §15.4.5). The work is done all the same; what is saved is the way.

use crate::routes::video::is_known;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};

/// Gives the answer to a GET of JSON a validator, and answers 304 to a client that names it.
pub(crate) async fn validate(request: Request, next: Next) -> Response {
    // The state of this moment is not asked for to be kept.
    let path = request.uri().path();
    let is_kept = *request.method() == Method::GET && path.starts_with("/api/") && path != "/api/health";
    let known = request.headers().clone();
    let response = next.run(request).await;
    if !is_kept || response.status() != StatusCode::OK || !is_json(response.headers()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // Serialized JSON is in memory already, and cannot fail to be read.
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let digest = hex::encode(Sha256::digest(&bytes));
    // Weak: the same answer may be sent compressed.
    let etag = format!("W/\"{}\"", digest.get(..32).unwrap_or(&digest));
    let headers = &mut parts.headers;
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.append(VARY, HeaderValue::from_static("authorization"));
    if let Ok(value) = HeaderValue::from_str(&etag) {
        headers.insert(ETAG, value);
    }
    if !is_known(&known, &etag) {
        return Response::from_parts(parts, Body::from(bytes));
    }
    for about_the_body in [CONTENT_TYPE, CONTENT_LENGTH] {
        headers.remove(about_the_body);
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
