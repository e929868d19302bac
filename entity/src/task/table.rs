//! The row of table `tasks` and its status column.

use crate::{RawJson, output, source};
use domain::{Status, TaskId, UserId};
use sea_orm::entity::prelude::*;

/// A source plus a recipe, with a status.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tasks")]
#[allow(missing_docs, reason = "the other columns are explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    pub source_id: i64,
    /// The path in download URLs, `YYYY/MM/DD/{id}_{safe name}`. No file lies there.
    pub file_path: String,
    /// Creation time.
    pub timestamp: ChronoDateTimeUtc,
    pub status: TaskStatus,
    pub display_name: String,
    pub preset: Option<String>,
    pub recipe: Json,
    /// Number of the latest claim. It only grows and fences every write of a worker.
    pub attempt: i32,
    /// Number of failed attempts, of all failure classes together.
    pub failures: i32,
    /// Earliest time of the next claim.
    pub run_at_ms: i64,
    /// End of the lease on the database clock; set while the task is in processing.
    pub lease_until_ms: Option<i64>,
    /// The worker of the latest claim.
    pub worker_id: Option<String>,
    pub progress: Option<Json>,
    pub error_code: Option<String>,
    pub error_detail: Option<String>,
    pub report: Option<RawJson>,
    pub started_at: Option<ChronoDateTimeUtc>,
    pub finished_at: Option<ChronoDateTimeUtc>,
    /// Hash of everything that determines the outputs: tasks of one account with equal fingerprints have equal outputs.
    pub fingerprint: Option<String>,
    /// The URL that gets the events of the task. May contain secrets of the receiver.
    pub webhook_url: Option<String>,
}

/// [`Status`] as a text column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[allow(missing_docs, reason = "see `Status`")]
pub enum TaskStatus {
    #[sea_orm(string_value = "uploaded")]
    Uploaded,
    #[sea_orm(string_value = "processing")]
    Processing,
    #[sea_orm(string_value = "processed")]
    Processed,
    #[sea_orm(string_value = "failed")]
    Failed,
    #[sea_orm(string_value = "canceled")]
    Canceled,
}

impl From<TaskStatus> for Status {
    fn from(status: TaskStatus) -> Self {
        match status {
            TaskStatus::Uploaded => Self::Uploaded,
            TaskStatus::Processing => Self::Processing,
            TaskStatus::Processed => Self::Processed,
            TaskStatus::Failed => Self::Failed,
            TaskStatus::Canceled => Self::Canceled,
        }
    }
}

impl From<Status> for TaskStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Uploaded => Self::Uploaded,
            Status::Processing => Self::Processing,
            Status::Processed => Self::Processed,
            Status::Failed => Self::Failed,
            Status::Canceled => Self::Canceled,
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "named after the related tables")]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::source::Entity",
        from = "Column::SourceId",
        to = "crate::source::Column::Id"
    )]
    Source,
    #[sea_orm(has_many = "crate::output::Entity")]
    Outputs,
}

impl Related<source::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Source.def()
    }
}

impl Related<output::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Outputs.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The id as its own type.
    #[must_use]
    pub const fn task_id(&self) -> TaskId {
        TaskId(self.id)
    }

    /// The account that the task belongs to.
    #[must_use]
    pub const fn owner(&self) -> UserId {
        UserId(self.user_id)
    }
}
