//! Numbers for Prometheus.

use crate::AppState;
use crate::error::Error;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use domain::Status;
use entity::{DatabaseConnection, in_time, task};
use metrics_exporter_prometheus::PrometheusHandle;
use std::time::Duration;

/// How long a query may take; a scrape that waits for longer holds a connection which the work needs.
const WITHIN: Duration = Duration::from_secs(2);

/// Metrics for Prometheus.
///
/// In its text format; `docs/OPERATIONS.md` explains each of them.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, description = "Prometheus text format 0.0.4", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(state): State<AppState>) -> Result<Response, Error> {
    count_tasks(&state.db).await;
    Ok(print(state.facts.metrics.as_ref()))
}

/// Asks the database how many tasks stand where, and how long the oldest has waited. An old number would mislead: without an answer there is none.
pub(crate) async fn count_tasks(db: &DatabaseConnection) {
    let counted = in_time(WITHIN, task::count_by_status(db)).await;
    if let Err(error) = &counted {
        tracing::warn!(%error, "the tasks could not be counted");
    }
    for status in Status::ALL {
        let count = counted
            .as_ref()
            .map(|rows| rows.iter().find(|(of, _)| *of == status).map_or(0, |(_, count)| *count));
        let count = count
            .ok()
            .and_then(|count| u32::try_from(count).ok())
            .map_or(f64::NAN, f64::from);
        metrics::gauge!("rushes_tasks", "status" => status.as_str()).set(count);
    }
    let oldest = in_time(WITHIN, task::oldest_waiting(db)).await;
    let age_s = oldest.map_or(f64::NAN, |oldest| {
        let age = oldest.map(|oldest| Utc::now().signed_duration_since(oldest).to_std());
        age.map_or(0.0, |age| age.unwrap_or_default().as_secs_f64())
    });
    metrics::gauge!("rushes_oldest_waiting_task_seconds").set(age_s);
}

pub(crate) fn print(handle: Option<&PrometheusHandle>) -> Response {
    let text = handle.map(PrometheusHandle::render).unwrap_or_default();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
