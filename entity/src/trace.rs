//! Table `traces`: the plan of the latest attempt of each task. It is many times larger than the row of the task, which
//! clients poll, and is read only for the detailed report.
//!
//! The column `log` is unused. Earlier versions, which may run beside this one during an upgrade, store the output of
//! FFmpeg there.

use domain::TaskReport;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;

/// The plan of an attempt, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "traces")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub task_id: i64,
    pub plan: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "named after the related table")]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::task::Entity",
        from = "Column::TaskId",
        to = "super::task::Column::Id",
        on_delete = "Cascade"
    )]
    Task,
}

impl ActiveModelBehavior for ActiveModel {}

/// The record of an attempt: the report, which clients see with the task, and the plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttemptRecord {
    /// Description of the work of the attempt, with reasons.
    pub report: TaskReport,
    /// The plan that the media engine was given; `None` if the attempt ended before planning.
    pub plan: Option<Json>,
}

impl AttemptRecord {
    /// The report as the column of the task stores it.
    pub(crate) fn report_json(&self) -> Result<Json, DbErr> {
        serde_json::to_value(&self.report).map_err(|error| DbErr::Json(error.to_string()))
    }
}

/// The trace of a task; `None` until an attempt has ended.
///
/// # Errors
/// Any database error.
pub async fn of_task(db: &impl ConnectionTrait, task: i64) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(task).one(db).await
}

/// Stores the plan of an attempt in place of that of an earlier one. Part of the transaction that ends the attempt.
pub(crate) async fn replace(db: &impl ConnectionTrait, task: i64, plan: Option<Json>) -> Result<(), DbErr> {
    let row = ActiveModel {
        task_id: Set(task),
        plan: Set(plan),
    };
    let conflict = OnConflict::column(Column::TaskId)
        .update_column(Column::Plan)
        .to_owned();
    Entity::insert(row).on_conflict(conflict).exec(db).await.map(|_| ())
}
