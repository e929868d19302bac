//! Table `events`: status changes of tasks. An event is inserted in the transaction of the change, so there is exactly
//! one for each. The events of a task are deleted with it.

use domain::TaskId;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, QueryOrder};

/// A status change of a task. `kind` is the new status.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub task_id: i64,
    pub attempt: i32,
    pub kind: String,
    pub at: ChronoDateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Inserts an event: the task reached `status` in its `attempt`.
pub(crate) async fn append(
    db: &DatabaseTransaction,
    task: i64,
    attempt: i32,
    status: domain::Status,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: NotSet,
        task_id: Set(task),
        attempt: Set(attempt),
        kind: Set(status.as_str().to_owned()),
        at: Set(crate::now()),
    };
    row.insert(db).await.map(|_| ())
}

/// Deletes the events of a task.
pub(crate) async fn remove(db: &impl ConnectionTrait, task: i64) -> Result<(), DbErr> {
    let of_task = Entity::delete_many().filter(Column::TaskId.eq(task));
    of_task.exec(db).await.map(|_| ())
}

/// The events of a task, the oldest first.
///
/// # Errors
/// Any database error.
pub async fn of_task(db: &impl ConnectionTrait, task: TaskId) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::TaskId.eq(task.0))
        .order_by_asc(Column::Id)
        .all(db)
        .await
}
