//! Every operation of the API by area, with the time limits of each area, and the OpenAPI document that is generated
//! from them.

mod analytics;
mod events;
mod library;
mod uploads;

use crate::error::{Error, Refusal, reply};
use crate::openapi::{Api, response_of};
use crate::routes::{
    auth, credentials, health, images, library as library_routes, metrics, plan, presets, report, tasks, video, videos,
};
use crate::{AppState, request_guards};
use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use domain::Code;
use std::sync::LazyLock;
use tokio::task::spawn_blocking;
use utoipa::OpenApi as _;
use utoipa::openapi::{OpenApi as Document, RefOr, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Path prefix of the API. All paths below it belong to the API: an unknown one is a problem, not a page.
const PREFIX: &str = "/api";

/// Operations of one area, with their descriptions.
type Area = fn() -> OpenApiRouter<AppState>;

/// Operations that answer within the request timeout, below [`PREFIX`].
const REQUESTS: [Area; 13] = [
    tasks,
    images,
    presets,
    credentials,
    videos,
    library::library,
    uploads::without_bytes,
    uploads::guest_links,
    uploads::imports,
    analytics::analytics,
    events::events,
    events::webhooks,
    api_health,
];

/// Those that use the database before they know an account.
const ANONYMOUS: [Area; 3] = [accounts, files, uploads::guests];

/// The routes of the API. `router.rs` makes a trailing slash optional.
pub(crate) fn router(state: &AppState) -> Router<AppState> {
    let reply_time = || from_fn_with_state(state.clone(), request_guards::limit_reply_time);
    let pauses = from_fn_with_state(state.clone(), request_guards::limit_pauses);
    let database = from_fn_with_state(state.clone(), request_guards::require_database);
    let requests = routes_of(&REQUESTS).merge(routes_of(&ANONYMOUS).layer(database));
    let uploads = routes_of(&[uploads::with_bytes]).layer(pauses);
    let api = requests.layer(reply_time()).merge(uploads).fallback(route_not_found);
    let probes = routes_of(&[probes]).layer(reply_time());
    Router::new().nest(PREFIX, api).merge(probes)
}

/// The routes of areas without their descriptions. These are dropped area by area, because together they would be the
/// largest part of the memory of a process.
fn routes_of(areas: &[Area]) -> Router<AppState> {
    areas
        .iter()
        .fold(Router::new(), |routes, area| routes.merge(Router::from(area())))
}

fn accounts() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(auth::sign_up))
        .routes(routes!(auth::sign_up_ping))
        .routes(routes!(auth::login))
        .routes(routes!(auth::login_ping))
}

fn tasks() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(tasks::list))
        .routes(routes!(tasks::show, tasks::remove))
        .routes(routes!(tasks::cancel))
        .routes(routes!(tasks::retry))
        .routes(routes!(report::show))
        .routes(routes!(plan::plan))
}

fn images() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(images::list))
        .routes(routes!(images::show, images::remove))
}

fn credentials() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(credentials::list, credentials::create))
        .routes(routes!(credentials::remove))
}

fn presets() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(presets::list, presets::create))
        .routes(routes!(presets::show, presets::replace, presets::remove))
}

fn videos() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(library_routes::list_own))
        .routes(routes!(library_routes::search_own))
        .routes(routes!(videos::show, videos::update, videos::remove))
        .routes(routes!(videos::publish))
        .routes(routes!(videos::unpublish))
        .routes(routes!(videos::publish_task))
}

/// Downloads of outputs. The time until their reply begins is limited, but not the reply.
fn files() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(video::download))
        .routes(routes!(video::play))
}

/// Health checks and metrics for machines. Their paths have no prefix.
fn probes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(health::ping))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
}

fn api_health() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(health::health))
}

/// The reply to a path that has no route.
pub(crate) async fn route_not_found() -> Response {
    reply(Refusal::new(Code::RouteNotFound))
}

/// Replies with the OpenAPI document. Its text is made for the first request, because few processes get one.
pub(crate) async fn show_document() -> Result<Response, Error> {
    static TEXT: LazyLock<Option<Bytes>> = LazyLock::new(|| document().to_json().ok().map(Bytes::from));
    let text = spawn_blocking(|| TEXT.clone()).await.map_err(anyhow::Error::from)?;
    let text = text.ok_or(Code::Internal)?;
    Ok(([(CONTENT_TYPE, "application/json")], text).into_response())
}

/// The OpenAPI document of the whole API.
#[must_use]
pub fn document() -> Document {
    let areas = REQUESTS.iter().chain(&ANONYMOUS).chain(&[uploads::with_bytes as Area]);
    let api = areas.fold(OpenApiRouter::new(), |described, area| described.merge(area()));
    let described = OpenApiRouter::with_openapi(Api::openapi()).nest(PREFIX, api);
    let mut document = described.merge(probes()).into_openapi();
    // Errors that an operation does not list have the same form as those that it lists.
    let any = || {
        ResponseBuilder::from(response_of([Code::Internal]))
            .description("Any other error")
            .build()
    };
    for item in document.paths.paths.values_mut() {
        let methods = [
            &mut item.get,
            &mut item.post,
            &mut item.put,
            &mut item.patch,
            &mut item.delete,
            &mut item.head,
            &mut item.options,
        ];
        for operation in methods.into_iter().flatten() {
            operation
                .responses
                .responses
                .entry("default".to_owned())
                .or_insert_with(|| RefOr::T(any()));
            // An absent list would mean the security of the whole document. An empty one marks a public operation.
            operation.security.get_or_insert_default();
        }
    }
    document
}

#[cfg(test)]
mod tests;
