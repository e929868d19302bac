//! Access log and common reply headers: the outermost middleware of the router.
//!
//! Each request gets a [`RequestContext`], a tracing span, one log line and one sample of
//! `rushes_http_request_duration_seconds`. On the way out, errors become problem details (`problem.rs`) and every reply
//! gets the request id, caching and security headers. The layer is outermost so that replies of all other layers pass
//! through it.

use crate::AppState;
use crate::problem;
use crate::request_context::RequestContext;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// The route of polls of a task.
pub(crate) const TASK_ROUTE: &str = "/api/tasks/{id}";

/// Time that a request spent waiting for a change on purpose, an extension of the response. It is no latency.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waited(pub(crate) Duration);

/// Marks the reply with a page that other sites may show in a frame, an extension of the response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frameable;

/// Middleware: adds the context to the request, logs and measures it, and completes the reply. See the module.
pub(crate) async fn log(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let context = RequestContext::of(&request, &state.config);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        request_id = &*context.request_id,
        %method,
        route,
    );
    let is_docs = request.uri().path().starts_with("/docs");
    request.extensions_mut().insert(context.clone());
    let mut response = next.run(request).instrument(span.clone()).await;
    span.in_scope(|| {
        response = problem::render(std::mem::take(&mut response), &context);
        add_common_headers(response.headers_mut(), &context, is_docs);
        if response.extensions().get::<Frameable>().is_some() {
            response.headers_mut().remove(header::X_FRAME_OPTIONS);
        }
        if let Some(hsts) = state.config.hsts.filter(|_| context.is_https) {
            add_hsts(response.headers_mut(), hsts);
        }
        let waited = response
            .extensions()
            .get::<Waited>()
            .map_or(Duration::ZERO, |waited| waited.0);
        let latency = started.elapsed().saturating_sub(waited);
        record(&method, route, response.status().as_u16(), latency);
    });
    response
}

/// Writes the log line and the latency sample of an answered request.
fn record(method: &Method, route: &str, status: u16, latency: Duration) {
    // Fields of the event, not of the span: recording a field on a span makes the subscriber format the span again.
    let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    if is_routine(method, route, status) {
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

/// Returns `true` for successful health probes and polls of a task. They arrive every few seconds; at `info` they would
/// be most of the log.
fn is_routine(method: &Method, route: &str, status: u16) -> bool {
    match route {
        "/livez" | "/readyz" | "/metrics" | "/api/health" | "/ping" => status < 400,
        TASK_ROUTE => matches!(*method, Method::GET | Method::HEAD) && matches!(status, 200 | 304),
        _ => false,
    }
}

/// Metric label of a method. Clients may send any token as a method, so unknown ones share `OTHER` to bound the number
/// of time series.
fn method_label(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known
        .into_iter()
        .find(|name| method.as_str() == *name)
        .unwrap_or("OTHER")
}

/// Adds the headers that every reply has: request id, caching, language and security headers.
fn add_common_headers(headers: &mut HeaderMap, context: &RequestContext, is_docs: bool) {
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
    // The compressed representation has other bytes, so its validator must not be strong (RFC 9110 §8.8.3.3).
    if headers.contains_key(header::CONTENT_ENCODING)
        && let Some(strong) = headers
            .get(header::ETAG)
            .filter(|tag| tag.as_bytes().starts_with(b"\""))
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", strong.as_bytes()].concat())
    {
        headers.insert(header::ETAG, weak);
    }
    // Swagger UI loads its own scripts and styles. Our HTML pages set their own policy.
    let policy = if is_docs {
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

/// Adds `Strict-Transport-Security`. RFC 6797 §7.2 forbids the header over plain HTTP.
fn add_hsts(headers: &mut HeaderMap, hsts: Duration) {
    let value = format!("max-age={}", hsts.as_secs());
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successful_probes_and_polls_are_routine() {
        for (method, route, status, expected) in [
            (Method::GET, "/api/health", 200, true),
            (Method::GET, "/api/health", 503, false),
            (Method::GET, "/api/tasks/{id}", 200, true),
            (Method::GET, "/api/tasks/{id}", 304, true),
            (Method::HEAD, "/api/tasks/{id}", 200, true),
            (Method::GET, "/api/tasks/{id}", 404, false),
            (Method::DELETE, "/api/tasks/{id}", 200, false),
            (Method::GET, "/api/tasks", 200, false),
        ] {
            assert_eq!(
                is_routine(&method, route, status),
                expected,
                "{method} {route} {status}"
            );
        }
    }
}
