//! The routers of the two kinds of processes, and the middleware that each request passes through.

use crate::drain_body::drain_unread;
use crate::routes::health::{readiness, readiness_reply};
use crate::routes::{codes, health, landing, metrics};
use crate::{AppState, ProcessHealth, access_log, etag, idempotency, operations, problem, request_guards};
use axum::Router;
use axum::extract::Request;
use axum::http::header::{self, HeaderName};
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};
use axum::middleware::{from_fn, from_fn_with_state, map_request};
use axum::routing::get;
use entity::DatabaseConnection;
use metrics_exporter_prometheus::PrometheusHandle;
use queue::Queue;
use std::time::Duration;
use storage::Storage;
use tower::ServiceExt;
use tower::util::option_layer;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};
use tower_http::cors::CorsLayer;
use utoipa_swagger_ui::SwaggerUi;

/// The router of the API: operations, Swagger UI, the landing page and the page of error codes.
///
/// The middleware, outermost first: access log, limits on headers, `Host`, CORS, compression, `ETag` of JSON, pinned
/// files, panics, draining of unread bodies, and the time limits of the areas (`operations.rs`).
pub fn router(state: AppState) -> Router {
    let document = operations::document();
    let inner = operations::router(&state)
        .route("/", get(landing::page))
        .route("/favicon.ico", get(landing::icon))
        .route("/docs/errors", get(codes::page))
        .merge(SwaggerUi::new("/docs").url("/api/openapi.json", document))
        .fallback(operations::route_not_found)
        .layer(map_request(async |request: Request| drain_unread(request)))
        .layer(CatchPanicLayer::custom(problem::panic_response))
        .layer(from_fn_with_state(state.clone(), request_guards::require_pinned_files))
        .layer(from_fn(etag::add_etag))
        .layer(
            CompressionLayer::new()
                .quality(CompressionLevel::Fastest)
                .compress_when(is_worth_compressing()),
        )
        .layer(option_layer(cors(&state.config.cors_origins)))
        .layer(from_fn(request_guards::require_host))
        .layer(from_fn(request_guards::limit_headers))
        .layer(from_fn_with_state(state.clone(), access_log::log))
        .with_state(state);
    // axum matches the route before it runs layers, so the trailing slash is removed outside of the router.
    Router::new().fallback_service(inner.map_request(remove_trailing_slash))
}

/// The router of a process that runs the worker alone: `/livez`, `/readyz` and `/metrics`.
pub fn telemetry_router(
    db: DatabaseConnection,
    storage: Storage,
    queue: Queue,
    handle: PrometheusHandle,
    alive: ProcessHealth,
) -> Router {
    let (ready_db, count_db) = (db.clone(), db);
    Router::new()
        .route("/livez", get(health::livez))
        .route(
            "/readyz",
            get(async move || readiness_reply(readiness(&ready_db, &storage, &queue, &alive).await)),
        )
        .route(
            "/metrics",
            get(async move || {
                metrics::count_tasks(&count_db).await;
                metrics::render(Some(&handle))
            }),
        )
}

/// Removes slashes from the end of the path. Swagger UI loads its files relative to `/docs/`, so that path keeps its
/// slash.
fn remove_trailing_slash(mut request: Request) -> Request {
    let path = request.uri().path();
    if path.len() > 1 && path.ends_with('/') && path != "/docs/" {
        let path = path.trim_end_matches('/');
        let path = if path.is_empty() { "/" } else { path };
        let query = request
            .uri()
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = format!("{path}{query}").parse().ok().or(parts.path_and_query);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// Matches complete text replies that are longer than a TCP segment. Media is compressed already, and the bytes of a
/// range must not be changed.
fn is_worth_compressing() -> impl Predicate {
    let is_text = |status: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions| {
        let kind = headers
            .get(header::CONTENT_TYPE)
            .map_or(&b""[..], HeaderValue::as_bytes);
        let kinds: [&[u8]; 4] = [
            b"application/json",
            b"application/vnd.apple.mpegurl",
            b"text/",
            b"application/javascript",
        ];
        status == StatusCode::OK && kinds.iter().any(|known| kind.starts_with(known))
    };
    SizeAbove::new(1_024).and(is_text)
}

/// CORS for the configured origins, compared exactly; `None` when none is configured.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    if origins.is_empty() {
        return None;
    }
    let request_id = HeaderName::from_static("x-request-id");
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::RANGE,
            header::IF_RANGE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header::IF_MODIFIED_SINCE,
            header::IF_UNMODIFIED_SINCE,
            idempotency::KEY_HEADER,
            request_id.clone(),
        ])
        .expose_headers([
            request_id,
            header::CONTENT_DISPOSITION,
            header::ACCEPT_RANGES,
            header::CONTENT_LENGTH,
            header::CONTENT_RANGE,
            header::DATE,
            header::ETAG,
            header::LAST_MODIFIED,
            header::RETRY_AFTER,
            idempotency::REPLAYED_HEADER,
            header::CONTENT_LANGUAGE,
        ])
        .max_age(Duration::from_secs(3_600));
    Some(layer)
}
