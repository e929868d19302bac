//! Every operation of the API by area, with the time limits of each area, and the OpenAPI document that is generated
//! from them.

mod events;
mod library;
mod uploads;

use crate::error::{Refusal, reply};
use crate::openapi::{Api, response_of};
use crate::routes::{
    auth, credentials, health, images, library as library_routes, metrics, plan, presets, report, tasks, video, videos,
};
use crate::{AppState, request_guards};
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use domain::Code;
use utoipa::OpenApi as _;
use utoipa::openapi::{OpenApi as Document, RefOr, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Path prefix of the API. All paths below it belong to the API: an unknown one is a problem, not a page.
const PREFIX: &str = "/api";

/// The routes of the API. `router.rs` makes a trailing slash optional.
pub(crate) fn router(state: &AppState) -> Router<AppState> {
    let reply_time = || from_fn_with_state(state.clone(), request_guards::limit_reply_time);
    let pauses = from_fn_with_state(state.clone(), request_guards::limit_pauses);
    let database = from_fn_with_state(state.clone(), request_guards::require_database);
    let requests = requests().merge(anonymous().layer(database));
    assembled(
        requests.layer(reply_time()),
        uploads::with_bytes().layer(pauses),
        probes().layer(reply_time()),
    )
    .into()
}

/// The routes of all areas with their descriptions.
fn assembled(
    requests: OpenApiRouter<AppState>,
    uploads: OpenApiRouter<AppState>,
    probes: OpenApiRouter<AppState>,
) -> OpenApiRouter<AppState> {
    let api = requests.merge(uploads).fallback(route_not_found);
    OpenApiRouter::with_openapi(Api::openapi())
        .nest(PREFIX, api)
        .merge(probes)
}

/// Operations that answer within the request timeout, below [`PREFIX`].
fn requests() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(tasks())
        .merge(images())
        .merge(presets())
        .merge(credentials())
        .merge(videos())
        .merge(library::library())
        .merge(uploads::without_bytes())
        .merge(uploads::guest_links())
        .merge(events::with_webhooks())
        .routes(routes!(health::health))
}

/// Operations that use the database before they know an account.
fn anonymous() -> OpenApiRouter<AppState> {
    accounts().merge(files()).merge(uploads::guests())
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

/// The reply to a path that has no route.
pub(crate) async fn route_not_found() -> Response {
    reply(Refusal::new(Code::RouteNotFound))
}

/// The OpenAPI document of the whole API.
#[must_use]
pub fn document() -> Document {
    let mut document = assembled(requests().merge(anonymous()), uploads::with_bytes(), probes()).into_openapi();
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
