//! The routers of the two kinds of processes, and the middleware that each request passes through.

use crate::drain_body::drain_unread;
use crate::extract::PREFER;
use crate::routes::health::{readiness, readiness_reply};
use crate::routes::{codes, embed, health, landing, library, metrics, searches, tus as tus_routes};
use crate::{AppState, ProcessHealth, access_log, etag, idempotency, operations, problem, request_guards, tus};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_request};
use axum::response::Response;
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
use utoipa_swagger_ui::{Config, SwaggerUi};

/// Path of the OpenAPI document.
const DOCUMENT: &str = "/api/openapi.json";

/// The router of the API: operations, Swagger UI, the landing page and the page of error codes.
pub fn router(state: AppState) -> Router {
    let routes = operations::router(&state)
        .route("/", get(landing::page))
        .route("/favicon.ico", get(landing::icon))
        .route("/embed/{id}", get(embed::page))
        .route("/docs/errors", get(codes::page))
        .route(DOCUMENT, get(operations::show_document))
        .merge(SwaggerUi::new("/docs").config(Config::from(DOCUMENT)))
        .fallback(operations::route_not_found);
    with_middleware(routes, state)
}

/// Adds the middleware, outermost first: access log, limits on headers, `Host`, CORS, encoded and partial bodies,
/// compression, `ETag` of JSON, pinned files, panics, and draining of unread bodies. The areas have time limits as well
/// (`operations.rs`).
fn with_middleware(routes: Router<AppState>, state: AppState) -> Router {
    let routes = routes
        .layer(map_request(async |request: Request| drain_unread(request)))
        .layer(CatchPanicLayer::custom(problem::panic_response))
        .layer(from_fn_with_state(state.clone(), request_guards::require_pinned_files))
        .layer(from_fn(etag::add_etag))
        .layer(
            CompressionLayer::new()
                .quality(CompressionLevel::Fastest)
                .compress_when(is_worth_compressing()),
        )
        .layer(from_fn(request_guards::require_plain_body))
        .layer(option_layer(cors(&state.config.cors_origins)))
        .layer(from_fn_with_state(state.clone(), add_tus_capabilities))
        .layer(from_fn(request_guards::check_head))
        .layer(from_fn_with_state(state.clone(), access_log::log))
        .with_state(state);
    // axum matches the route before it runs layers, so the trailing slash is removed outside of the router.
    let routes = routes.map_request(|request| remove_trailing_slash(tus::override_method(request)));
    Router::new().fallback_service(routes)
}

/// Adds what the server can do to the replies to OPTIONS of uploads. It is outside of CORS, which answers OPTIONS
/// itself.
async fn add_tus_capabilities(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let asks = request.method() == Method::OPTIONS && tus::is_tus_path(request.uri().path());
    let mut response = next.run(request).await;
    if asks {
        tus_routes::add_capabilities(&state, &mut response);
    }
    response
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
            get(async move || readiness_reply(readiness(&ready_db, &storage, &queue, &alive, None).await)),
        )
        .route(
            "/metrics",
            get(async move || {
                metrics::count_rows(&count_db).await;
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
        // The compressor would hold messages of a stream back.
        let is_stream = kind.starts_with(b"text/event-stream");
        status == StatusCode::OK && !is_stream && kinds.iter().any(|known| kind.starts_with(known))
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
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers(
            [
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                header::RANGE,
                header::IF_RANGE,
                header::IF_MATCH,
                header::IF_NONE_MATCH,
                header::IF_MODIFIED_SINCE,
                header::IF_UNMODIFIED_SINCE,
                idempotency::KEY_HEADER,
                PREFER,
                HeaderName::from_static("last-event-id"),
                request_id.clone(),
            ]
            .into_iter()
            .chain(tus::REQUEST_HEADERS)
            .collect::<Vec<_>>(),
        )
        .expose_headers(
            [
                request_id,
                header::CONTENT_DISPOSITION,
                header::ACCEPT_RANGES,
                header::CONTENT_LENGTH,
                header::CONTENT_RANGE,
                header::DATE,
                header::ETAG,
                header::LAST_MODIFIED,
                header::LOCATION,
                searches::PREFERENCE_APPLIED,
                header::RETRY_AFTER,
                idempotency::REPLAYED_HEADER,
                header::CONTENT_LANGUAGE,
                header::AGE,
                header::CACHE_STATUS,
                library::DEGRADED_HEADER,
            ]
            .into_iter()
            .chain(tus::RESPONSE_HEADERS)
            .collect::<Vec<_>>(),
        )
        .max_age(Duration::from_secs(3_600));
    Some(layer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Secret, Secrets, ServerConfig};
    use axum::body::{Body, Bytes};
    use axum::routing::post;
    use background::Background;
    use futures::StreamExt;
    use serde_json::Value;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_util::sync::CancellationToken;

    async fn state(home: &std::path::Path) -> AppState {
        let path = home.display();
        let db = entity::connect(&format!("sqlite://{path}/test.db"), 2).await.unwrap();
        let storage = Storage::open(&format!("file://{path}/objects"), None).await.unwrap();
        let current = Secret::new("0123456789abcdef0123456789abcdef").unwrap();
        let config = Config::new(Secrets {
            current,
            previous: None,
        });
        AppState::new(db, storage, Queue::in_memory(), config, ProcessHealth::default())
    }

    /// A server of the API with further routes that panic: before the body is read, and inside of the reply.
    async fn serve_panics(home: &std::path::Path) -> std::net::SocketAddr {
        let state = state(home).await;
        let stream = || async {
            let chunks = futures::stream::iter(0..2).map(|number| {
                assert!(number == 0, "by the test");
                Ok::<_, std::io::Error>(Bytes::from_static(b"first"))
            });
            Body::from_stream(chunks)
        };
        let routes = operations::router(&state)
            .route("/panic", post(|| async { panic!("by the test") as &'static str }))
            .route("/panic-in-reply", get(stream));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = ServerConfig {
            max_connections: 2,
            ..ServerConfig::default()
        };
        let (stop, background) = (CancellationToken::new(), Background::default());
        tokio::spawn(crate::serve(
            listener,
            with_middleware(routes, state),
            config,
            stop,
            background,
        ));
        address
    }

    /// Sends a request with `Connection: close` and reads until the connection is closed.
    async fn exchange(address: std::net::SocketAddr, request: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("host: a\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        let request = format!("{request} HTTP/1.1\r\n{head}x-request-id: r-1\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        // A connection whose handler panicked may be reset.
        let _ = stream.read_to_end(&mut reply).await;
        String::from_utf8(reply).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn after_panics_of_handlers_the_server_replies_with_problems_and_serves_on() {
        let home = tempfile::tempdir().unwrap();
        let address = serve_panics(home.path()).await;
        // More often than there are connections: no panic keeps one.
        for _ in 0..4 {
            let reply = exchange(address, "POST /panic", &"unread".repeat(20_000)).await;
            let (head, body) = reply.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
            assert!(head.contains("\r\nx-request-id: r-1"), "{head}");
            assert!(head.contains("\r\ncontent-type: application/problem+json"), "{head}");
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(
                (&body["code"], &body["request_id"]),
                (&"internal".into(), &"r-1".into())
            );
            assert!(!body.to_string().contains("by the test"), "{body}");

            let reply = exchange(address, "GET /panic-in-reply", "").await;
            assert!(!reply.ends_with("0\r\n\r\n"), "the reply seems complete: {reply}");

            let health = exchange(address, "GET /api/health", "").await;
            assert!(
                health.starts_with("HTTP/1.1 200 ") && health.contains(r#""status":"healthy""#),
                "{health}"
            );
        }
    }
}
