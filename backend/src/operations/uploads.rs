//! The operations of uploads.

use crate::AppState;
use crate::routes::{
    datasets, guest_links, guests, images, imports as import_routes, presigned_uploads, raw_uploads, tus as tus_routes,
    uploads,
};
use crate::tus;
use axum::middleware::map_response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Operations that receive files. Their duration depends on the file, so only the pauses between two chunks are
/// limited.
pub(super) fn with_bytes() -> OpenApiRouter<AppState> {
    let of_tus = OpenApiRouter::new()
        .routes(routes!(tus_routes::create))
        .routes(routes!(tus_routes::append));
    OpenApiRouter::new()
        .routes(routes!(uploads::create))
        .routes(routes!(images::create))
        .routes(routes!(raw_uploads::create))
        .routes(routes!(import_routes::create))
        .routes(routes!(datasets::load))
        .merge(of_tus.layer(map_response(tus::add_version)))
}

/// The other operations of resumable uploads, and those of uploads whose bytes go to the bucket.
pub(super) fn without_bytes() -> OpenApiRouter<AppState> {
    let of_tus = OpenApiRouter::new()
        .routes(routes!(tus_routes::show))
        .routes(routes!(tus_routes::remove))
        .routes(routes!(tus_routes::options));
    OpenApiRouter::new()
        .routes(routes!(uploads::show))
        .routes(routes!(presigned_uploads::create))
        .routes(routes!(presigned_uploads::sign))
        .routes(routes!(presigned_uploads::complete))
        .merge(of_tus.layer(map_response(tus::add_version)))
}

/// Imports of manifests, except their beginning.
pub(super) fn imports() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(import_routes::list))
        .routes(routes!(import_routes::show, import_routes::remove))
        .routes(routes!(import_routes::events))
        .routes(routes!(import_routes::rows))
        .routes(routes!(import_routes::result))
        .routes(routes!(import_routes::cancel))
        .routes(routes!(import_routes::retry))
}

/// Guest links as their owner sees them.
pub(super) fn guest_links() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(guest_links::list, guest_links::create))
        .routes(routes!(guest_links::show, guest_links::update, guest_links::remove))
}

/// Operations of guests besides their uploads.
pub(super) fn guests() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(guests::show))
        .routes(routes!(guests::begin_session))
}
