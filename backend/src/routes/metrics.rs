//! Metrics in the text format of Prometheus.

use crate::AppState;
use crate::error::Error;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use domain::Status;
use domain::manifest::ImportStatus;
use entity::{DatabaseConnection, import, task, with_timeout};
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
    count_rows(&state.app.db).await;
    Ok(render(state.process.metrics.as_ref()))
}

/// Sets the gauges of the number of tasks by status and the age of the oldest waiting task, from the database, and
/// those of imports. Without an answer of the database they become NaN, because an outdated number would mislead.
pub(crate) async fn count_rows(db: &DatabaseConnection) {
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
    count_imports(db).await;
}

/// Sets the gauges of the number of imports that have not ended and of the age of the oldest, as [`count_rows`] does.
async fn count_imports(db: &DatabaseConnection) {
    let open = with_timeout(QUERY_TIMEOUT, import::open(db)).await;
    if let Err(error) = &open {
        tracing::warn!(%error, "failed to count the imports");
    }
    for status in [ImportStatus::Received, ImportStatus::Staging, ImportStatus::Running] {
        let count = open
            .as_ref()
            .map(|rows| rows.iter().find(|row| row.0 == status).map_or(0, |row| row.1));
        let count = count.ok().and_then(|count| u32::try_from(count).ok());
        metrics::gauge!("rushes_imports", "status" => status.as_str()).set(count.map_or(f64::NAN, f64::from));
    }
    let age_s = open.map_or(f64::NAN, |rows| {
        let oldest = rows.into_iter().map(|row| row.2).min();
        let age = oldest.map(|oldest| Utc::now().signed_duration_since(oldest).to_std());
        age.map_or(0.0, |age| age.unwrap_or_default().as_secs_f64())
    });
    metrics::gauge!("rushes_oldest_import_seconds").set(age_s);
}

pub(crate) fn render(handle: Option<&PrometheusHandle>) -> Response {
    let text = handle.map(PrometheusHandle::render).unwrap_or_default();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
