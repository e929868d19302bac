//! Table `sources`: uploaded files. They are immutable, and several tasks of one account may share one.

use crate::RawJson;
use domain::UserId;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::DatabaseTransaction;
use sea_orm::entity::prelude::*;

/// An uploaded file.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sources")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    pub key: String,
    pub bytes: i64,
    pub sha256: String,
    /// Facts that a child has read from the file; `None` until then.
    pub probe: Option<RawJson>,
    pub created_at: ChronoDateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "named after the related table")]
pub enum Relation {
    #[sea_orm(has_many = "super::task::Entity")]
    Tasks,
}

impl Related<super::task::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Tasks.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

/// The values of a new source, whose file is stored.
#[derive(Clone, Debug)]
pub struct New {
    /// Storage key.
    pub key: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Hexadecimal SHA-256 of its bytes.
    pub sha256: String,
}

/// Inserts the row of a stored file and removes the file from the trash list, where its upload has put it.
///
/// # Errors
/// Any database error.
pub async fn create(db: &DatabaseTransaction, user: UserId, new: New) -> Result<Model, DbErr> {
    super::trash::remove_key(db, &new.key).await?;
    let row = ActiveModel {
        id: NotSet,
        user_id: Set(user.0),
        key: Set(new.key),
        bytes: Set(i64::try_from(new.bytes).unwrap_or(i64::MAX)),
        sha256: Set(new.sha256),
        probe: Set(None),
        created_at: Set(crate::now()),
    };
    row.insert(db).await
}

/// The source of a task.
///
/// # Errors
/// Any database error; [`DbErr::RecordNotFound`] only if the task has been removed.
pub async fn of_task(db: &impl ConnectionTrait, task: &super::task::Model) -> Result<Model, DbErr> {
    let found = find(db, task).await?;
    found.ok_or_else(|| DbErr::RecordNotFound(format!("source {}", task.source_id)))
}

/// The source of a task; `None` if the task has been removed since it was read.
///
/// # Errors
/// Any database error.
pub async fn find(db: &impl ConnectionTrait, task: &super::task::Model) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(task.source_id).one(db).await
}

/// Stores the facts that a child has read from the file.
///
/// # Errors
/// Any database error.
pub async fn set_probe(db: &impl ConnectionTrait, id: i64, probe: Json) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Probe, Expr::value(probe))
        .filter(Column::Id.eq(id))
        .exec(db)
        .await
        .map(|_| ())
}

/// The probe of a source of the account with the same hash, if one has been probed.
///
/// # Errors
/// Any database error.
pub async fn known_probe(db: &impl ConnectionTrait, user: UserId, sha256: &str) -> Result<Option<RawJson>, DbErr> {
    let same = Entity::find()
        .filter(Column::Sha256.eq(sha256))
        .filter(Column::UserId.eq(user.0))
        .filter(Column::Probe.is_not_null());
    Ok(same.one(db).await?.and_then(|source| source.probe))
}

/// Copies the probe of a source to another one with the same bytes.
///
/// # Errors
/// Any database error.
pub(crate) async fn share_probe(db: &impl ConnectionTrait, from: i64, to: i64) -> Result<(), DbErr> {
    let known = Entity::find_by_id(from).one(db).await?.and_then(|source| source.probe);
    let update = Entity::update_many().col_expr(Column::Probe, Expr::value(known));
    update.filter(Column::Id.eq(to)).exec(db).await.map(|_| ())
}
