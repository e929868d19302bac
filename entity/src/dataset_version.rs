//! Table `dataset_versions`: the versions of datasets of which rows may exist ([`crate::dataset`]).

use crate::dataset::{self, Version};
use crate::import;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Query;
use sea_orm::{DatabaseTransaction, ExprTrait, QuerySelect};

/// A version.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dataset_versions")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub dataset_id: i64,
    /// The id of the import that writes its rows.
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Records that rows with a version may exist, in the transaction that creates the import.
///
/// # Errors
/// Any database error.
pub async fn begin(db: &DatabaseTransaction, of: Version) -> Result<(), DbErr> {
    let row = ActiveModel {
        dataset_id: Set(of.dataset),
        version: Set(of.version),
    };
    Entity::insert(row).exec_without_returning(db).await.map(drop)
}

/// A version whose rows are to be removed: its import has ended, and no dataset names it.
///
/// # Errors
/// Any database error.
pub async fn unused(db: &impl ConnectionTrait) -> Result<Option<Version>, DbErr> {
    let of_version = |column: Column| Expr::col((Entity, column));
    let named = Query::select()
        .expr(Expr::value(1))
        .from(dataset::Entity)
        .and_where(Expr::col((dataset::Entity, dataset::Column::Id)).eq(of_version(Column::DatasetId)))
        .and_where(Expr::col((dataset::Entity, dataset::Column::Version)).eq(of_version(Column::Version)))
        .to_owned();
    let open = Query::select()
        .expr(Expr::value(1))
        .from(import::Entity)
        .and_where(Expr::col((import::Entity, import::Column::Id)).eq(of_version(Column::Version)))
        .and_where(import::Column::Status.is_in(import::OPEN))
        .to_owned();
    let unused = Entity::find()
        .filter(Expr::exists(named).not())
        .filter(Expr::exists(open).not())
        .limit(1);
    Ok(unused.one(db).await?.map(|row| Version {
        dataset: row.dataset_id,
        version: row.version,
    }))
}

/// Forgets a version that has no rows any more.
///
/// # Errors
/// Any database error.
pub async fn end(db: &impl ConnectionTrait, of: Version) -> Result<(), DbErr> {
    Entity::delete_by_id((of.dataset, of.version)).exec(db).await.map(drop)
}
