//! Table `traces`: the orders of a task's latest attempt. They are many times larger than the row of the task, which clients ask
//! for again and again, and wanted only by people who ask why.
//!
//! Its column `log` is neither read nor written: earlier versions, which may still run beside this one, kept the lines of FFmpeg
//! there.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;

/// What an attempt leaves behind besides its report.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "traces")]
#[allow(missing_docs, reason = "columns say what they are")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub task_id: i64,
    pub plan: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "the name says it")]
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

/// What is known of an attempt: a report for every client, and a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What was done and why.
    pub report: Json,
    /// The orders of the engine, if it came to that.
    pub plan: Option<Json>,
}

/// The trace of a task; `None` while no attempt has ended.
///
/// # Errors
/// Those of the database.
pub async fn of_task(db: &impl ConnectionTrait, task: i64) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(task).one(db).await
}

/// Keeps a trace in place of that of an earlier attempt; part of settling the attempt.
pub(crate) async fn keep(db: &impl ConnectionTrait, task: i64, plan: Option<Json>) -> Result<(), DbErr> {
    let row = ActiveModel {
        task_id: Set(task),
        plan: Set(plan),
    };
    let replace = OnConflict::column(Column::TaskId)
        .update_column(Column::Plan)
        .to_owned();
    Entity::insert(row).on_conflict(replace).exec(db).await.map(|_| ())
}
