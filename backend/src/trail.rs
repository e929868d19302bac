//! The outermost layer: every request leaves a span, a log line, a metric, and a reply with the headers of the house.

use crate::AppState;
use crate::context::Context;
use crate::serve::READ_BYTES;
use crate::{error, problem};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::Code;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// Wraps a request; see the module.
pub(crate) async fn trail(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let context = Context::of(&request, &state.config);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        request_id = &*context.request_id,
        %method,
        route,
    );
    let docs = request.uri().path().starts_with("/docs");
    request.extensions_mut().insert(context.clone());
    let mut response = next.run(request).instrument(span.clone()).await;
    span.in_scope(|| {
        response = problem::render(std::mem::take(&mut response), &context);
        dress(response.headers_mut(), &context, docs);
        if let Some(hsts) = state.config.hsts.filter(|_| context.is_https) {
            secure(response.headers_mut(), hsts);
        }
        note(&method, route, response.status().as_u16(), started.elapsed());
    });
    response
}

fn note(method: &Method, route: &str, status: u16, latency: Duration) {
    // Fields of the line and not of its span: a span that changes is written anew each time.
    let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    // Probes come every few seconds for ever.
    if matches!(route, "/livez" | "/readyz" | "/metrics" | "/api/health" | "/ping") && status < 400 {
        tracing::debug!(status, latency_ms, "answered");
    } else {
        tracing::info!(status, latency_ms, "answered");
    }
    let labels = [
        ("method", method_label(method).to_owned()),
        ("route", route.to_owned()),
        ("status", status.to_string()),
    ];
    metrics::histogram!("rushes_http_request_duration_seconds", &labels).record(latency.as_secs_f64());
}

/// A method is whatever a client writes: only the known ones become a label.
fn method_label(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known
        .into_iter()
        .find(|name| method.as_str() == *name)
        .unwrap_or("OTHER")
}

/// The headers of every reply.
fn dress(headers: &mut HeaderMap, context: &Context, docs: bool) {
    if let Ok(id) = HeaderValue::from_str(&context.request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    let is_json = headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes().starts_with(b"application/json") || kind.as_bytes().starts_with(b"application/problem+json")
    });
    if is_json {
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        headers.insert(
            header::CONTENT_LANGUAGE,
            HeaderValue::from_static(context.language.tag()),
        );
        headers.append(header::VARY, HeaderValue::from_static("accept-language"));
    }
    // A compressed file has other bytes (RFC 9110 §8.8.3.3): its validator is no longer strong.
    if headers.contains_key(header::CONTENT_ENCODING)
        && let Some(strong) = headers
            .get(header::ETAG)
            .filter(|tag| tag.as_bytes().starts_with(b"\""))
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", strong.as_bytes()].concat())
    {
        headers.insert(header::ETAG, weak);
    }
    // Swagger UI brings its own scripts and styles; a page of ours says itself what it needs.
    let policy = if docs {
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
    } else {
        "default-src 'none'; frame-ancestors 'none'"
    };
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// Has browsers use TLS only from now on. RFC 6797 §7.2 allows that over TLS only.
fn secure(headers: &mut HeaderMap, hsts: Duration) {
    let value = format!("max-age={}", hsts.as_secs());
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
}

/// Refuses what was done while the database or the storage was taken away: nothing of it will be there after a restart. A
/// request that only reads is refused once that is known.
pub(crate) async fn on_pinned_files(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let is_safe = request.method().is_safe();
    let response = next.run(request).await;
    let files = &state.alive.files;
    if files.is_moved() || (!is_safe && files.look().await.is_err()) {
        return error::Error::from(Code::Unavailable).into_response();
    }
    response
}

/// Most headers of an HTTP/2 request, as many as hyper accepts over HTTP/1.1.
const HEADERS_MAX: usize = 100;

/// Refuses a request of HTTP/2 whose header list is larger than [`READ_BYTES`], the bound of HTTP/1.1. The size of the list counts
/// 32 bytes more for each field (RFC 9113 §6.5.2).
pub(crate) async fn with_small_head(request: Request, next: Next) -> Response {
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
    error::Refusal::new(Code::HeadersTooLarge)
        .detail(detail)
        .into_response()
}

/// Refuses a request of HTTP/1.1 without exactly one `Host` that names a host (RFC 9112 §3.2).
pub(crate) async fn with_host(request: Request, next: Next) -> Response {
    let hosts: Vec<_> = request.headers().get_all(header::HOST).iter().collect();
    let names_host = |host: &&HeaderValue| host.as_bytes().is_empty() || Authority::try_from(host.as_bytes()).is_ok();
    let is_right = match (hosts.as_slice(), request.version()) {
        ([], version) => version != Version::HTTP_11,
        ([host], _) => names_host(host),
        _ => false,
    };
    if is_right {
        return next.run(request).await;
    }
    let detail = format!(
        "{} Host headers; accepted: one, with a host and maybe a port",
        hosts.len()
    );
    error::Refusal::new(Code::RequestInvalid).detail(detail).into_response()
}

/// Ends a request whose reply does not begin in time. An upload takes as long as it takes; it has a limit between its
/// pieces instead.
pub(crate) async fn in_time(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let is_upload = *request.method() == Method::POST
        && request
            .extensions()
            .get::<MatchedPath>()
            .is_some_and(|path| matches!(path.as_str(), "/api/tasks" | "/api/images"));
    if is_upload {
        return next.run(request).await;
    }
    match tokio::time::timeout(state.config.request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => error::Refusal::new(Code::Unavailable)
            .detail("no answer in time")
            .into_response(),
    }
}
