//! Table `trash`: storage keys of files to remove, each with the time from which on it may be removed.
//!
//! *Problem.* Files and rows cannot change in one transaction. A crash between the two must leave neither a file
//! without a row, which nothing would ever remove, nor a row without its file.
//!
//! *Mechanism.*
//! - A new file: its key is put on the list *before* the upload, due after a delay that is longer than any upload. The
//!   transaction that inserts the row takes it off. If the process dies in between, the file is removed when it is due.
//! - A removal: the transaction that deletes the row puts the key on the list, due at once. The file is deleted after
//!   the commit.
//! - The background task `trash` of the worker deletes files that are due, then their entries.
//!
//! *Invariants.* Every stored file is referred to by a row or is on the list. A file that a row refers to is not on the
//! list, so that this task need not look at any other table.
//!
//! *Rejected.* Listing the whole storage and comparing it with the rows: it costs a request per thousand objects, and
//! it cannot tell a lost file from one that is being uploaded.

use sea_orm::ActiveValue::Set;
use sea_orm::ExprTrait;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{QueryOrder, QuerySelect};
use std::time::Duration;

/// An entry: a file, or a set of files if the key ends in `/`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "trash")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    pub due_at_ms: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Puts files on the list, due after `delay`. For a file that is on the list already, only the due time changes.
///
/// # Errors
/// Any database error.
pub async fn add_keys(db: &impl ConnectionTrait, keys: &[String], delay: Duration) -> Result<(), DbErr> {
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

/// Takes a file off the list, because a row refers to it now or because it was removed from storage.
///
/// # Errors
/// Any database error.
pub async fn remove_key(db: &impl ConnectionTrait, key: &str) -> Result<(), DbErr> {
    Entity::delete_many()
        .filter(Column::Key.eq(key))
        .exec(db)
        .await
        .map(|_| ())
}

/// The keys that are due, at most `limit`, the earliest first.
///
/// # Errors
/// Any database error.
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
