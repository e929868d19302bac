//! Table `image_uses`: the names of the images that unfinished tasks need. The rows are inserted with the task and
//! deleted when it ends. The removal of an image looks up one index entry instead of reading the recipes of all tasks.

use crate::task::{self, Model as Task, TaskStatus};
use domain::recipe_reader::stored;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{QuerySelect, QueryTrait};
use std::collections::BTreeSet;

/// An image that an unfinished task needs. It may be `logo`, which is built in and has no row in `images`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "image_uses")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub task_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub user_id: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Inserts the rows of a new task.
pub(crate) async fn create(db: &impl ConnectionTrait, task: &Task) -> Result<(), DbErr> {
    // A task whose recipe cannot be parsed fails in the worker before it needs an image.
    let Ok(recipe) = stored(task.recipe.clone()) else {
        return Ok(());
    };
    let names: BTreeSet<_> = recipe.images().into_iter().map(|(_, name)| name.to_string()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let rows = names.into_iter().map(|name| ActiveModel {
        task_id: Set(task.id),
        name: Set(name),
        user_id: Set(task.user_id),
    });
    Entity::insert_many(rows).exec_without_returning(db).await.map(|_| ())
}

/// Deletes the rows of a task that has ended.
pub(crate) async fn remove(db: &impl ConnectionTrait, task: i64) -> Result<(), DbErr> {
    let of_task = Entity::delete_many().filter(Column::TaskId.eq(task));
    of_task.exec(db).await.map(|_| ())
}

/// Returns `true` if an unfinished task of the account needs this image.
pub(crate) async fn exists(db: &impl ConnectionTrait, user: i64, name: &str) -> Result<bool, DbErr> {
    let open = task::Entity::find()
        .select_only()
        .column(task::Column::Id)
        .filter(task::Column::UserId.eq(user))
        .filter(task::Column::Status.is_in([TaskStatus::Uploaded, TaskStatus::Processing]));
    let found: Option<i64> = Entity::find()
        .select_only()
        .column(Column::TaskId)
        .filter(Column::UserId.eq(user))
        .filter(Column::Name.eq(name))
        // The status is checked as well: a worker of an earlier version ends tasks without deleting these rows.
        .filter(Column::TaskId.in_subquery(open.into_query()))
        .limit(1)
        .into_tuple()
        .one(db)
        .await?;
    Ok(found.is_some())
}
