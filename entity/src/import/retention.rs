//! Removal of imports: of those that their owners remove, and of the rows of those that ended long ago.
//!
//! *Mechanism.* An import may have millions of rows, so they are removed some at a time. First the import is marked, in
//! a transaction that holds the lock of the account ([`remove`], [`expire`]): from then on no request shows its rows or
//! lets it run again. Then its rows are removed ([`Removable::remove_rows`]), and at last its file
//! ([`Removable::finish`]).
//!
//! *Invariant.* An import without a key has neither rows nor a file.

use super::{Column, Entity, OPEN};
use crate::{import_row, trash};
use domain::UserId;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, DatabaseTransaction, QueryOrder, QuerySelect, QueryTrait, UpdateMany};
use std::time::Duration;

/// An import whose rows are to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removable {
    id: i64,
    key: String,
    is_removed: bool,
}

/// Removes an import for its owner: it is found no more. Returns `false` if it has not ended, or is not there. Call it
/// in [`crate::user::write`].
///
/// # Errors
/// Any database error.
pub async fn remove(db: &DatabaseTransaction, user: UserId, id: i64) -> Result<bool, DbErr> {
    let update = Entity::update_many()
        .filter(Column::UserId.eq(user.0))
        .col_expr(Column::IsRemoved, Expr::value(true));
    mark(db, update, id).await
}

/// Marks an import whose rows are kept no longer. Returns `false` if it runs again. Call it in [`crate::user::write`].
///
/// # Errors
/// Any database error.
pub async fn expire(db: &DatabaseTransaction, id: i64) -> Result<bool, DbErr> {
    let update = Entity::update_many().col_expr(Column::IsExpired, Expr::value(true));
    mark(db, update, id).await
}

async fn mark(db: &DatabaseTransaction, update: UpdateMany<Entity>, id: i64) -> Result<bool, DbErr> {
    let update = update
        .filter(Column::Id.eq(id))
        .filter(has_ended())
        // The same file may be imported again.
        .col_expr(Column::Dedup, Expr::value(Option::<String>::None));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// An import that ended before `kept_for` and is not marked yet, with its owner.
///
/// # Errors
/// Any database error.
pub async fn outdated(db: &impl ConnectionTrait, kept_for: Duration) -> Result<Option<(i64, UserId)>, DbErr> {
    let imports = Entity::find()
        .filter(has_ended())
        .filter(Column::FinishedAt.lt(crate::now() - kept_for))
        .filter(Column::IsExpired.eq(false))
        .filter(Column::IsRemoved.eq(false));
    let found = imports.order_by_asc(Column::FinishedAt).limit(1).one(db).await?;
    Ok(found.map(|import| (import.id, import.owner())))
}

/// An import that is marked and still has rows or a file.
///
/// # Errors
/// Any database error.
pub async fn removable(db: &impl ConnectionTrait) -> Result<Option<Removable>, DbErr> {
    let is_marked = Condition::any()
        .add(Column::IsRemoved.eq(true))
        .add(Column::IsExpired.eq(true));
    let imports = Entity::find().filter(is_marked).filter(Column::Key.ne(""));
    let found = imports.order_by_asc(Column::Id).limit(1).one(db).await?;
    Ok(found.map(|import| Removable {
        id: import.id,
        key: import.key,
        is_removed: import.is_removed,
    }))
}

/// All its rows have ended, and none is on its way.
fn has_ended() -> Condition {
    Condition::all()
        .add(Column::Status.is_not_in(OPEN))
        .add(Column::Working.eq(0))
}

impl Removable {
    /// Removes up to `limit` rows. Returns their number.
    ///
    /// # Errors
    /// Any database error.
    pub async fn remove_rows(&self, db: &impl ConnectionTrait, limit: u64) -> Result<u64, DbErr> {
        let of_import = import_row::Column::ImportId.eq(self.id);
        let rows = import_row::Entity::find().select_only().column(import_row::Column::Row);
        let rows = rows.filter(of_import.clone()).order_by_asc(import_row::Column::Row);
        let delete = import_row::Entity::delete_many().filter(of_import);
        let delete = delete.filter(import_row::Column::Row.in_subquery(rows.limit(limit).into_query()));
        Ok(delete.exec(db).await?.rows_affected)
    }

    /// Removes the import, or its key, when it has no rows any more. Its file goes to the trash list.
    ///
    /// # Errors
    /// Any database error.
    pub async fn finish(&self, db: &DatabaseTransaction) -> Result<(), DbErr> {
        if self.is_removed {
            Entity::delete_by_id(self.id).exec(db).await?;
        } else {
            let update = Entity::update_many().filter(Column::Id.eq(self.id));
            update.col_expr(Column::Key, Expr::value("")).exec(db).await?;
        }
        trash::add_keys(db, std::slice::from_ref(&self.key), Duration::ZERO).await
    }
}
