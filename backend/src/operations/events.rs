//! The operations of events and webhooks.

use crate::AppState;
use crate::routes::{deliveries, events, webhooks};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Events as a list and as a stream. The time until a stream begins is limited, but not the stream.
pub(super) fn events() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(events::list))
        .routes(routes!(events::stream))
        .routes(routes!(events::create_ticket))
}

/// Webhooks, their secrets and the log of deliveries.
pub(super) fn webhooks() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::show_secret))
        .routes(routes!(webhooks::rotate_task_secret))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::resend))
        .routes(routes!(webhooks::show, webhooks::update, webhooks::remove))
        .routes(routes!(webhooks::rotate_secret))
        .routes(routes!(webhooks::test))
}
