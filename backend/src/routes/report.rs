//! Everything that is known about what became of a task, for people who ask why.

use crate::AppState;
use crate::context::Context;
use crate::error::Error;
use crate::extract::{BaseUrl, Owned};
use crate::openapi::problems;
use crate::routes::tasks::view;
use crate::view::TaskView;
use axum::Json;
use axum::extract::State;
use domain::Code;
use entity::{RawJson, task, trace};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A task with the facts of its source, what was planned, what was done, and what was said meanwhile.
#[derive(Serialize, ToSchema)]
pub(crate) struct Bundle {
    /// As `GET /api/tasks/{id}` shows it, without its report.
    task: TaskView,
    /// Facts of the source; null when nobody could look into it.
    #[schema(value_type = Option<Object>)]
    probe: Option<RawJson>,
    /// The orders of the engine; null when it did not come to that.
    #[schema(value_type = Option<Object>)]
    plan: Option<Value>,
    /// What was done, per output, with warnings and cost.
    #[schema(value_type = Object)]
    report: RawJson,
}

problems!(ReportProblems: TokenMissing, TokenInvalid, TokenExpired, TaskNotFound, ReportNotReady, Unavailable);

/// Tells everything about what became of a task.
///
/// For people who ask why. There is one as soon as the first try has ended.
#[utoipa::path(get, operation_id = "show_report", path = "/api/tasks/{id}/report", tag = "tasks", params(("id" = i64, Path, description = "The number of the task")),
    security(("bearer" = [])), responses((status = 200, description = "The report", body = Bundle), ReportProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    context: Context,
    base: BaseUrl,
    Owned(mut task): Owned<task::Whole>,
) -> Result<Json<Bundle>, Error> {
    let report = task.task.report.take().ok_or(Code::ReportNotReady)?;
    let probe = task.source.probe.clone();
    let trace = trace::of_task(&state.db, task.task.id).await?;
    Ok(Json(Bundle {
        task: view(&state, &context, &base, task),
        probe,
        plan: trace.and_then(|trace| trace.plan),
        report,
    }))
}
