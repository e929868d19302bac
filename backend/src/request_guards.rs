//! Middleware that refuses requests: malformed `Host`, oversized HTTP/2 headers, no reply in time, and changes made
//! while the data files were moved away.

use crate::AppState;
use crate::error::{Error, Refusal, reply};
use crate::routes::tasks::wait::WAIT_MAX;
use crate::serve::READ_BYTES;
use axum::extract::{MatchedPath, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::Code;
use std::time::Duration;

/// Answers 503 when the database file or the storage directory was moved or deleted under the running process: changes
/// made to the open file would be lost at the next restart. Unsafe methods look at the files after each request; safe
/// ones use the last known result.
pub(crate) async fn require_pinned_files(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let is_safe = request.method().is_safe();
    let response = next.run(request).await;
    let files = &state.alive.files;
    if files.is_changed() || (!is_safe && files.check().await.is_err()) {
        return Error::from(Code::Unavailable).into_response();
    }
    response
}

/// Maximum number of headers of an HTTP/2 request; the same as hyper's limit for HTTP/1.1.
const HEADERS_MAX: usize = 100;

/// Refuses an HTTP/2 request whose header list is larger than [`READ_BYTES`], the limit of HTTP/1.1. The size of the
/// list includes 32 bytes of overhead per field (RFC 9113 §6.5.2).
pub(crate) async fn limit_headers(request: Request, next: Next) -> Response {
    if request.version() < Version::HTTP_2 {
        return next.run(request).await;
    }
    let headers = request.headers();
    let fields = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 32);
    let bytes = fields.sum::<usize>() + request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if bytes <= READ_BYTES as usize && headers.len() <= HEADERS_MAX {
        return next.run(request).await;
    }
    let detail = format!(
        "{bytes} bytes in {} headers; accepted: {READ_BYTES} bytes in {HEADERS_MAX} headers",
        headers.len()
    );
    reply(Refusal::new(Code::HeadersTooLarge).detail(detail))
}

/// Refuses an HTTP/1.1 request that does not have exactly one valid `Host` header (RFC 9112 §3.2).
pub(crate) async fn require_host(request: Request, next: Next) -> Response {
    let hosts: Vec<_> = request.headers().get_all(header::HOST).iter().collect();
    let names_host = |host: &&HeaderValue| host.as_bytes().is_empty() || Authority::try_from(host.as_bytes()).is_ok();
    let is_valid = match (hosts.as_slice(), request.version()) {
        ([], version) => version != Version::HTTP_11,
        ([host], _) => names_host(host),
        _ => false,
    };
    if is_valid {
        return next.run(request).await;
    }
    let detail = format!(
        "{} Host headers; accepted: one, with a host and an optional port",
        hosts.len()
    );
    reply(Refusal::new(Code::RequestInvalid).detail(detail))
}

/// Answers 503 when the handler does not reply within the request timeout. Uploads are exempt, because their duration
/// depends on the size of the file; they have a limit on the pause between two chunks instead. A long poll has its time
/// to wait on top.
pub(crate) async fn timeout(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let is_upload = *request.method() == Method::POST
        && request
            .extensions()
            .get::<MatchedPath>()
            .is_some_and(|path| matches!(path.as_str(), "/api/tasks" | "/api/images"));
    if is_upload {
        return next.run(request).await;
    }
    let wait = if is_long_poll(&request) {
        WAIT_MAX
    } else {
        Duration::ZERO
    };
    match tokio::time::timeout(state.config.request_timeout + wait, next.run(request)).await {
        Ok(response) => response,
        Err(_) => reply(Refusal::new(Code::Unavailable).detail("no reply within the time limit")),
    }
}

fn is_long_poll(request: &Request) -> bool {
    let route = request.extensions().get::<MatchedPath>();
    route.is_some_and(|route| route.as_str() == "/api/tasks/{id}")
        && request.uri().query().is_some_and(|query| query.contains("wait="))
}
