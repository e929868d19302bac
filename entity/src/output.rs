//! Table `outputs`: published files and sets of files. An output is visible exactly if a row names it; the rows of a
//! task are inserted in the transaction that sets the task to `processed`.

use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, IntoActiveModel, QueryOrder, QuerySelect};

/// A published file or set of files.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outputs")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub task_id: i64,
    /// Index among the outputs of the task; the main output has 0.
    pub position: i32,
    pub name: String,
    pub kind: String,
    pub media_type: String,
    pub key: String,
    pub bytes: i64,
    pub sha256: String,
    pub width_px: Option<i32>,
    pub height_px: Option<i32>,
    pub duration_ms: Option<i64>,
    /// The file of a set that refers to all others, such as the master playlist. `key` is then a prefix that ends in
    /// `/`.
    pub entry: Option<String>,
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

impl Related<super::task::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Task.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

/// The values of a new output, which is verified and stored.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "columns of the row")]
pub struct New {
    pub name: String,
    pub kind: &'static str,
    pub media_type: &'static str,
    pub key: String,
    pub bytes: u64,
    pub sha256: String,
    pub width_px: Option<u32>,
    pub height_px: Option<u32>,
    pub duration_ms: Option<u64>,
    pub entry: Option<&'static str>,
}

/// The outputs of a task, the main one first.
///
/// # Errors
/// Any database error.
pub async fn of_task(db: &impl ConnectionTrait, task: i64) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::TaskId.eq(task))
        .order_by_asc(Column::Position)
        .all(db)
        .await
}

/// Selects the storage keys that no output refers to.
pub(crate) async fn unreferenced(db: &impl ConnectionTrait, keys: Vec<String>) -> Result<Vec<String>, DbErr> {
    let referenced: Vec<String> = Entity::find()
        .select_only()
        .column(Column::Key)
        .filter(Column::Key.is_in(keys.iter().map(String::as_str)))
        .into_tuple()
        .all(db)
        .await?;
    Ok(keys.into_iter().filter(|key| !referenced.contains(key)).collect())
}

/// Copies the output rows of a task to another one. Both refer to the same files.
pub(crate) async fn share(db: &DatabaseTransaction, from: i64, to: i64) -> Result<(), DbErr> {
    for output in of_task(db, from).await? {
        let mut row = output.into_active_model();
        row.id = NotSet;
        row.task_id = Set(to);
        // An active model made from a row inserts only its changed columns unless it is reset.
        row.reset_all().insert(db).await?;
    }
    Ok(())
}

/// Inserts the outputs of a task in order and removes their files from the trash list. Part of [`Claim::succeed`].
///
/// [`Claim::succeed`]: crate::task::Claim::succeed
pub(crate) async fn publish(db: &DatabaseTransaction, task: i64, outputs: Vec<New>) -> Result<(), DbErr> {
    for (position, new) in outputs.into_iter().enumerate() {
        super::trash::remove_key(db, &new.key).await?;
        let row = ActiveModel {
            id: NotSet,
            task_id: Set(task),
            position: Set(i32::try_from(position).unwrap_or(i32::MAX)),
            name: Set(new.name),
            kind: Set(new.kind.to_owned()),
            media_type: Set(new.media_type.to_owned()),
            key: Set(new.key),
            bytes: Set(i64::try_from(new.bytes).unwrap_or(i64::MAX)),
            sha256: Set(new.sha256),
            width_px: Set(new.width_px.and_then(|px| px.try_into().ok())),
            height_px: Set(new.height_px.and_then(|px| px.try_into().ok())),
            duration_ms: Set(new.duration_ms.and_then(|ms| ms.try_into().ok())),
            entry: Set(new.entry.map(str::to_owned)),
        };
        row.insert(db).await?;
    }
    Ok(())
}
