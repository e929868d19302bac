//! The full report of a task: the probe of its source, its plan and its report, to diagnose the result.

use crate::AppState;
use crate::error::Error;
use crate::extract::Owned;
use crate::openapi::problems;
use crate::task_reply::{ViewContext, view};
use api::report::Bundle;
use api::tasks::StoredReport;
use axum::Json;
use axum::extract::State;
use chrono::Utc;
use domain::Code;
use entity::{RawJson, task, trace};

problems!(ReportProblems: TokenMissing, TokenInvalid, TokenExpired, TaskNotFound, ReportNotReady, Unavailable);

/// Shows the full report of a task.
///
/// To diagnose its result. It exists as soon as the first attempt has ended.
#[utoipa::path(get, operation_id = "show_report", path = "/tasks/{id}/report", tag = "tasks", params(("id" = i64, Path, description = "The id of the task")),
    security(("bearer" = [])), responses((status = 200, description = "The report", body = Bundle), ReportProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    context: ViewContext,
    Owned(mut task): Owned<task::TaskDetails>,
) -> Result<Json<Bundle>, Error> {
    let report = task.task.report.take().ok_or(Code::ReportNotReady)?;
    let probe = task.source.probe.clone();
    let trace = trace::of_task(&state.app.db, task.task.id).await?;
    Ok(Json(Bundle {
        task: view(&state.links, &context, task, Utc::now()),
        probe: probe.map(RawJson::into_text),
        plan: trace.and_then(|trace| trace.plan),
        report: StoredReport(report.into_text()),
    }))
}
