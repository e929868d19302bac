//! Table `trash`: stored files that no row names any more, or not yet, and when to remove them.
//!
//! A file is put on the list *before* it is stored and taken off by the transaction that names it. Whatever dies in
//! between, the sweeper finds the file.

use sea_orm::ActiveValue::Set;
use sea_orm::ExprTrait;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{QueryOrder, QuerySelect};
use std::time::Duration;

/// A file to remove.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "trash")]
#[allow(missing_docs, reason = "columns say what they are")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    pub due_at_ms: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Puts files on the list; they are removed after `delay` unless kept before. No `delay` for what is unwanted now.
///
/// # Errors
/// Those of the database.
pub async fn put(db: &impl ConnectionTrait, keys: &[String], delay: Duration) -> Result<(), DbErr> {
    if keys.is_empty() {
        return Ok(());
    }
    let due = crate::now().timestamp_millis().saturating_add(crate::millis(delay));
    let rows = keys.iter().map(|key| ActiveModel {
        key: Set(key.clone()),
        due_at_ms: Set(due),
    });
    let conflict = OnConflict::column(Column::Key)
        .update_column(Column::DueAtMs)
        .to_owned();
    Entity::insert_many(rows)
        .on_conflict(conflict)
        .exec_without_returning(db)
        .await
        .map(|_| ())
}

/// Takes a file off the list: a row names it, or it is gone.
///
/// # Errors
/// Those of the database.
pub async fn keep(db: &impl ConnectionTrait, key: &str) -> Result<(), DbErr> {
    Entity::delete_many()
        .filter(Column::Key.eq(key))
        .exec(db)
        .await
        .map(|_| ())
}

/// Files that are due, at most `limit`, the oldest first.
///
/// # Errors
/// Those of the database.
pub async fn due(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<String>, DbErr> {
    let query = Entity::find()
        .select_only()
        .column(Column::Key)
        .filter(Expr::col(Column::DueAtMs).lte(crate::now_ms(db)));
    query
        .order_by_asc(Column::DueAtMs)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await
}
