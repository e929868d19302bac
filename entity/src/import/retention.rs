//! Removal of imports: of those that their owners remove, and of the rows of those that ended long ago.
//!
//! An import may have millions of rows, so they are removed some at a time ([`remove_rows`]). The last transaction
//! also removes the import, or marks it as expired ([`Removable::finish`]).

use super::{Column, Entity, OPEN};
use crate::{import_row, trash};
use domain::UserId;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, DatabaseTransaction, QueryOrder, QuerySelect, QueryTrait};
use std::time::Duration;

/// An import whose rows are to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removable {
    id: i64,
    key: String,
    is_removed: bool,
}

/// Removes an import for its owner: it is found no more. Returns `false` if it has not ended, or is not there.
///
/// # Errors
/// Any database error.
pub async fn remove(db: &impl ConnectionTrait, user: UserId, id: i64) -> Result<bool, DbErr> {
    let update = Entity::update_many()
        .filter(Column::Id.eq(id))
        .filter(Column::UserId.eq(user.0))
        .filter(has_ended())
        .col_expr(Column::IsRemoved, Expr::value(true))
        .col_expr(Column::Dedup, Expr::value(Option::<String>::None));
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// An import that its owner has removed, or that ended before `kept_for`.
///
/// # Errors
/// Any database error.
pub async fn removable(db: &impl ConnectionTrait, kept_for: Duration) -> Result<Option<Removable>, DbErr> {
    let is_old = Condition::all()
        .add(Column::FinishedAt.lt(crate::now() - kept_for))
        .add(Column::IsExpired.eq(false));
    let imports = Entity::find()
        .filter(has_ended())
        .filter(Condition::any().add(Column::IsRemoved.eq(true)).add(is_old));
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

    /// Removes the import, or marks it as expired, when it has no rows any more. Its file goes to the trash list.
    ///
    /// # Errors
    /// Any database error.
    pub async fn finish(&self, db: &DatabaseTransaction) -> Result<(), DbErr> {
        if self.is_removed {
            Entity::delete_by_id(self.id).exec(db).await?;
        } else {
            let update = Entity::update_many().filter(Column::Id.eq(self.id));
            update.col_expr(Column::IsExpired, Expr::value(true)).exec(db).await?;
        }
        trash::add_keys(db, std::slice::from_ref(&self.key), Duration::ZERO).await
    }
}
