//! The report of a task, with what is needed to diagnose its result.

use crate::tasks::{StoredReport, TaskView};
use domain::TaskReport;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A task with the probe of its source, its plan and its report.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Bundle {
    /// The task as in `GET /api/tasks/{id}`, without its report.
    pub task: TaskView,
    /// Facts read from the source; null when it could not be probed.
    #[schema(value_type = Option<Object>)]
    pub probe: Option<Box<RawValue>>,
    /// The plan that the media engine executed; null when the task failed before it was planned.
    #[schema(value_type = Option<Object>)]
    pub plan: Option<Value>,
    /// The report: what was done per output, with warnings and cost.
    #[schema(value_type = TaskReport)]
    pub report: StoredReport,
}
