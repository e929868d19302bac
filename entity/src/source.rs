//! Table `sources`: uploaded files, immutable. Several tasks of one account may share one.

use crate::RawJson;
use domain::UserId;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::DatabaseTransaction;
use sea_orm::entity::prelude::*;

/// An uploaded file.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sources")]
#[allow(missing_docs, reason = "columns say what they are")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    pub key: String,
    pub bytes: i64,
    pub sha256: String,
    pub probe: Option<RawJson>,
    pub created_at: ChronoDateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "the name says it")]
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

/// A file that has just been stored.
#[derive(Clone, Debug)]
pub struct New {
    /// Its place in storage.
    pub key: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Hexadecimal SHA-256 of its bytes.
    pub sha256: String,
}

/// Records a stored file and takes it off the trash list, where its upload had put it.
///
/// # Errors
/// Those of the database.
pub async fn create(db: &DatabaseTransaction, user: UserId, new: New) -> Result<Model, DbErr> {
    super::trash::keep(db, &new.key).await?;
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
/// Those of the database; [`DbErr::RecordNotFound`] never happens while the task exists.
pub async fn of_task(db: &impl ConnectionTrait, task: &super::task::Model) -> Result<Model, DbErr> {
    let found = find(db, task).await?;
    found.ok_or_else(|| DbErr::RecordNotFound(format!("source {}", task.source_id)))
}

/// The source of a task that may have been removed since it was read.
///
/// # Errors
/// Those of the database.
pub async fn find(db: &impl ConnectionTrait, task: &super::task::Model) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(task.source_id).one(db).await
}

/// Keeps the facts that the child read.
///
/// # Errors
/// Those of the database.
pub async fn set_probe(db: &impl ConnectionTrait, id: i64, probe: Json) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Probe, Expr::value(probe))
        .filter(Column::Id.eq(id))
        .exec(db)
        .await
        .map(|_| ())
}

/// The facts of a source of the account with the same bytes, if one was looked into.
///
/// # Errors
/// Those of the database.
pub async fn known_probe(db: &impl ConnectionTrait, user: UserId, sha256: &str) -> Result<Option<RawJson>, DbErr> {
    let same = Entity::find()
        .filter(Column::Sha256.eq(sha256))
        .filter(Column::UserId.eq(user.0))
        .filter(Column::Probe.is_not_null());
    Ok(same.one(db).await?.and_then(|source| source.probe))
}

/// Gives a source the facts of another one with the same bytes.
///
/// # Errors
/// Those of the database.
pub(crate) async fn share_probe(db: &impl ConnectionTrait, from: i64, to: i64) -> Result<(), DbErr> {
    let known = Entity::find_by_id(from).one(db).await?.and_then(|source| source.probe);
    let update = Entity::update_many().col_expr(Column::Probe, Expr::value(known));
    update.filter(Column::Id.eq(to)).exec(db).await.map(|_| ())
}
