//! Metrics in the text format of Prometheus.

use crate::AppState;
use crate::error::Error;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use domain::Status;
use entity::{DatabaseConnection, task, with_timeout};
use metrics_exporter_prometheus::PrometheusHandle;
use std::time::Duration;

/// Timeout of each query. A scrape that waits longer would occupy a database connection that requests need.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// Metrics for Prometheus.
///
/// In the Prometheus text format; `docs/OPERATIONS.md` explains each metric.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, description = "Prometheus text format 0.0.4", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(state): State<AppState>) -> Result<Response, Error> {
    count_tasks(&state.app.db).await;
    Ok(render(state.process.metrics.as_ref()))
}

/// Sets the gauges of the number of tasks by status and the age of the oldest waiting task, from the database. Without
/// an answer of the database they become NaN, because an outdated number would mislead.
pub(crate) async fn count_tasks(db: &DatabaseConnection) {
    let counted = with_timeout(QUERY_TIMEOUT, task::count_by_status(db)).await;
    if let Err(error) = &counted {
        tracing::warn!(%error, "failed to count the tasks");
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
    let oldest = with_timeout(QUERY_TIMEOUT, task::oldest_due_created_at(db)).await;
    let age_s = oldest.map_or(f64::NAN, |oldest| {
        let age = oldest.map(|oldest| Utc::now().signed_duration_since(oldest).to_std());
        age.map_or(0.0, |age| age.unwrap_or_default().as_secs_f64())
    });
    metrics::gauge!("rushes_oldest_waiting_task_seconds").set(age_s);
}

pub(crate) fn render(handle: Option<&PrometheusHandle>) -> Response {
    let text = handle.map(PrometheusHandle::render).unwrap_or_default();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
