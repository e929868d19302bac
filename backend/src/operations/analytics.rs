//! Datasets and analytics.

use crate::AppState;
use crate::routes::{analytics, datasets};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Datasets, except the files that are loaded into them, and queries about them.
pub(super) fn analytics() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(datasets::list))
        .routes(routes!(datasets::show, datasets::put, datasets::remove))
        .routes(routes!(analytics::total))
        .routes(routes!(analytics::series))
        .routes(routes!(analytics::by))
        .routes(routes!(analytics::map))
        .routes(routes!(analytics::region))
}
