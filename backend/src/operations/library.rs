//! The operations of the library.

use crate::AppState;
use crate::routes::{library, searches};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Lists, searches and files of published videos.
pub(super) fn library() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(library::list))
        .routes(routes!(library::search))
        .routes(routes!(searches::show))
        .merge(published().layer(library::any_origin()))
}

fn published() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(library::show))
        .routes(routes!(library::output))
        .routes(routes!(library::set_file))
}
