//! Every route on one screen, and what all of them pass through.

use crate::openapi::{self, Api};
use crate::routes::health::Readiness;
use crate::routes::{auth, codes, health, images, landing, metrics, plan, presets, report, tasks, uploads, video};
use crate::{Alive, AppState, once, problem, trail, upload, validators};
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
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

/// The routes, with and without a slash at the end.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(auth::sign_up))
        .routes(routes!(auth::sign_up_ping))
        .routes(routes!(auth::login))
        .routes(routes!(auth::login_ping))
        .routes(routes!(tasks::list, uploads::create))
        .routes(routes!(tasks::show, tasks::remove))
        .routes(routes!(tasks::cancel))
        .routes(routes!(tasks::retry))
        .routes(routes!(report::show))
        .routes(routes!(plan::plan))
        .routes(routes!(video::download))
        .routes(routes!(video::play))
        .routes(routes!(images::list, images::create))
        .routes(routes!(images::show, images::remove))
        .routes(routes!(presets::list, presets::create))
        .routes(routes!(presets::show, presets::replace, presets::remove))
        .routes(routes!(health::health))
        .routes(routes!(health::ping))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
}

/// The API. Outermost first: the trail, CORS, compression, validators of JSON, a limit of time, a net for panics, and what reads unwanted bodies.
pub fn router(state: AppState) -> Router {
    let (router, _) = routes().split_for_parts();
    let document = openapi::document();
    let inner = router
        .route("/", get(landing::page))
        .route("/favicon.ico", get(landing::icon))
        .route("/docs/errors", get(codes::page))
        .merge(SwaggerUi::new("/docs").url("/api/openapi.json", document))
        .fallback(nowhere)
        .layer(map_request(async |request: Request| upload::linger(request)))
        .layer(CatchPanicLayer::custom(problem::of_panic))
        .layer(from_fn_with_state(state.clone(), trail::on_pinned_files))
        .layer(from_fn_with_state(state.clone(), trail::in_time))
        .layer(from_fn(validators::validate))
        .layer(
            CompressionLayer::new()
                .quality(CompressionLevel::Fastest)
                .compress_when(is_worth_compressing()),
        )
        .layer(option_layer(cors(&state.config.cors_origins)))
        .layer(from_fn(trail::with_host))
        .layer(from_fn(trail::with_small_head))
        .layer(from_fn_with_state(state.clone(), trail::trail))
        .with_state(state);
    // Routes are chosen before layers run: a slash has to go before that.
    Router::new().fallback_service(inner.map_request(without_slash))
}

/// What a worker in a process of its own answers: `/livez`, `/readyz`, `/metrics`.
pub fn telemetry_router(
    db: DatabaseConnection,
    storage: Storage,
    queue: Queue,
    handle: PrometheusHandle,
    alive: Alive,
) -> Router {
    let (ready_db, count_db) = (db.clone(), db);
    Router::new()
        .route("/livez", get(health::livez))
        .route(
            "/readyz",
            get(async move || Readiness::of(&ready_db, &storage, &queue, &alive).await.answer()),
        )
        .route(
            "/metrics",
            get(async move || {
                metrics::count_tasks(&count_db).await;
                metrics::print(Some(&handle))
            }),
        )
}

async fn nowhere() -> axum::response::Response {
    axum::response::IntoResponse::into_response(crate::error::Refusal::new(domain::Code::RouteNotFound))
}

/// Swagger UI finds its files relative to `/docs/`, so there the slash stays.
fn without_slash(mut request: Request) -> Request {
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

/// Whole answers of text that are longer than a packet. Media is compressed already, and a part of a file must stay as it is.
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

/// Only origins that are named, each by its exact text.
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
            once::KEY,
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
            once::REPLAYED,
            header::CONTENT_LANGUAGE,
        ])
        .max_age(Duration::from_secs(3_600));
    Some(layer)
}
