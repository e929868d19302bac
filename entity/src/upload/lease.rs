//! The lease of a request on an upload, and the writes that it allows.

use super::{Column, Entity, Model, part, stored};
use crate::{guest_link, lease};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{LockType, OnConflict, Query, SelectStatement};
use sea_orm::{Condition, DatabaseTransaction, ExprTrait, QuerySelect};
use std::time::Duration;

/// The right of one request to write to an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadLease {
    upload: String,
    holder: String,
}

/// The answer to a holder that asks if it may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// It holds the upload.
    Held,
    /// Another request asks for the upload.
    Wanted,
    /// Another request has the upload, or it is gone.
    Lost,
}

/// Progress of an upload: bytes that are durable now.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// Number of durable bytes from the beginning of the file.
    pub received_bytes: u64,
    /// The state of the hash.
    pub hash_state: String,
    /// New parts of a multipart upload: number and content id.
    pub parts: Vec<(u32, String)>,
    /// Storage key of the bytes behind the last whole part.
    pub tail_key: Option<String>,
}

/// A file without bytes.
#[derive(Clone, Debug)]
pub struct EmptyFile {
    /// Storage key of the file.
    pub key: String,
    /// The multipart upload of a bucket.
    pub multipart_id: Option<String>,
    /// Size of its parts.
    pub part_bytes: u64,
}

/// The holder of an upload as a newcomer sees it. It changes with each renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    holder: Option<String>,
    until_ms: i64,
}

/// The condition that no request holds the row.
pub(super) fn is_free(db: &impl ConnectionTrait) -> Condition {
    Condition::any()
        .add(Column::Holder.is_null())
        .add(Expr::col(Column::UntilMs).lte(crate::now_ms(db)))
}

impl UploadLease {
    /// A lease that is not taken yet. `holder` must be unique to the request.
    #[must_use]
    pub const fn new(upload: String, holder: String) -> Self {
        Self { upload, holder }
    }

    /// Asks the holder to release the upload, and returns who holds it; `None` if the upload is gone.
    ///
    /// # Errors
    /// Any database error.
    pub async fn ask(&self, db: &impl ConnectionTrait) -> Result<Option<Holding>, DbErr> {
        let update = Entity::update_many().filter(Column::Id.eq(self.upload.as_str()));
        let update = update.col_expr(Column::Claimant, Expr::value(self.holder.as_str()));
        let row = update.exec_with_returning(db).await?.pop();
        Ok(row.map(|row| Holding {
            holder: row.holder,
            until_ms: row.until_ms,
        }))
    }

    /// Takes the upload if no other request holds it, or by force from a holder that is still `replaced`. Returns the
    /// row as the previous holder left it; `None` if another request holds it, or if the upload is gone.
    ///
    /// # Errors
    /// Any database error.
    pub async fn take(&self, db: &impl ConnectionTrait, replaced: Option<&Holding>) -> Result<Option<Model>, DbErr> {
        let mut may_be_taken = is_free(db);
        if let Some(Holding { holder, until_ms }) = replaced {
            let is_same = Condition::all().add(Column::Holder.eq(holder.as_deref()));
            may_be_taken = may_be_taken.add(is_same.add(Column::UntilMs.eq(*until_ms)));
        }
        self.take_if(db, may_be_taken).await
    }

    /// Takes the upload on a condition.
    pub(super) async fn take_if(
        &self,
        db: &impl ConnectionTrait,
        condition: Condition,
    ) -> Result<Option<Model>, DbErr> {
        let update = Entity::update_many().filter(Column::Id.eq(self.upload.as_str()));
        let update = update.filter(condition);
        // A holder that released the row is not in it any more.
        let was_replaced = Expr::col(Column::Holder).is_not_null().or(Expr::col(Column::Replaced));
        let update = update
            .col_expr(Column::Holder, Expr::value(self.holder.as_str()))
            .col_expr(Column::Claimant, Expr::value(Option::<String>::None))
            .col_expr(Column::Replaced, was_replaced)
            .col_expr(Column::UntilMs, lease::end(db));
        Ok(update.exec_with_returning(db).await?.pop())
    }

    /// The condition of every write: the row is held by this request.
    fn is_held(&self) -> Condition {
        Condition::all()
            .add(Column::Id.eq(self.upload.as_str()))
            .add(Column::Holder.eq(self.holder.as_str()))
    }

    /// The id of the upload if this request holds it, as the condition of writes to other tables. On Postgres it locks
    /// the row, so that no other request takes it before the write is committed. SQLite has one writer.
    pub(crate) fn held_upload(&self) -> SelectStatement {
        Query::select()
            .column(Column::Id)
            .from(Entity)
            .cond_where(self.is_held())
            .lock(LockType::Update)
            .to_owned()
    }

    /// Tells the holder if it may go on.
    ///
    /// # Errors
    /// Any database error.
    pub async fn state(&self, db: &impl ConnectionTrait) -> Result<Ownership, DbErr> {
        let row = Entity::find()
            .select_only()
            .column(Column::Claimant)
            .filter(self.is_held());
        let claimant: Option<Option<String>> = row.into_tuple().one(db).await?;
        Ok(match claimant {
            Some(None) => Ownership::Held,
            Some(Some(_)) => Ownership::Wanted,
            None => Ownership::Lost,
        })
    }

    /// Renews the lease. Returns `false` if another request has the upload.
    ///
    /// # Errors
    /// Any database error.
    pub async fn renew(&self, db: &impl ConnectionTrait) -> Result<bool, DbErr> {
        let update = Entity::update_many().filter(self.is_held());
        let renewed = update.col_expr(Column::UntilMs, lease::end(db)).exec(db).await?;
        Ok(renewed.rows_affected == 1)
    }

    /// Sets the length of the file, which was unknown.
    ///
    /// # Errors
    /// Any database error.
    pub async fn set_length(&self, db: &impl ConnectionTrait, bytes: u64) -> Result<bool, DbErr> {
        let update = Entity::update_many().filter(self.is_held());
        let update = update.col_expr(Column::LengthBytes, Expr::value(stored(bytes)));
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Records progress, renews the lease, and lets the upload expire after `lifetime` from now. Returns `false` if
    /// another request has the upload; the caller must roll back then.
    ///
    /// # Errors
    /// Any database error.
    pub async fn checkpoint(
        &self,
        db: &DatabaseTransaction,
        progress: &Checkpoint,
        lifetime: Duration,
    ) -> Result<bool, DbErr> {
        let update = Entity::update_many()
            .filter(self.is_held())
            .col_expr(Column::ReceivedBytes, Expr::value(stored(progress.received_bytes)))
            .col_expr(Column::HashState, Expr::value(progress.hash_state.as_str()))
            .col_expr(Column::TailKey, Expr::value(progress.tail_key.clone()))
            .col_expr(Column::UntilMs, lease::end(db))
            .col_expr(Column::ExpiresAtMs, crate::in_ms(db, crate::millis(lifetime)));
        let is_held = update.exec(db).await?.rows_affected == 1;
        if is_held {
            self.add_parts(db, &progress.parts).await?;
        }
        Ok(is_held)
    }

    /// Records parts of a multipart upload. A part that was sent again replaces the first one.
    async fn add_parts(&self, db: &impl ConnectionTrait, parts: &[(u32, String)]) -> Result<(), DbErr> {
        if parts.is_empty() {
            return Ok(());
        }
        let rows = parts.iter().map(|(number, content_id)| part::ActiveModel {
            upload_id: Set(self.upload.clone()),
            number: Set(i32::try_from(*number).unwrap_or(i32::MAX)),
            content_id: Set(content_id.clone()),
        });
        let again = OnConflict::columns([part::Column::UploadId, part::Column::Number])
            .update_column(part::Column::ContentId)
            .to_owned();
        let insert = part::Entity::insert_many(rows).on_conflict(again);
        insert.exec_without_returning(db).await.map(drop)
    }

    /// Moves the upload to another file, when a holder that was replaced may still write to the first one.
    /// `multipart_id` is the multipart upload of the new file in a bucket.
    ///
    /// # Errors
    /// Any database error.
    pub async fn move_to(
        &self,
        db: &DatabaseTransaction,
        key: &str,
        multipart_id: Option<&str>,
    ) -> Result<bool, DbErr> {
        let update = Entity::update_many()
            .filter(self.is_held())
            .col_expr(Column::Key, Expr::value(key))
            .col_expr(Column::MultipartId, Expr::value(multipart_id))
            .col_expr(Column::Replaced, Expr::value(false));
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Begins the upload again with another file, which has no bytes. Returns `false` if another request has the
    /// upload; the caller must roll back then.
    ///
    /// # Errors
    /// Any database error.
    pub async fn begin_again(&self, db: &DatabaseTransaction, file: &EmptyFile) -> Result<bool, DbErr> {
        let update = Entity::update_many()
            .filter(self.is_held())
            .filter(Column::Sha256.is_null())
            .col_expr(Column::Key, Expr::value(file.key.as_str()))
            .col_expr(Column::MultipartId, Expr::value(file.multipart_id.clone()))
            .col_expr(Column::Replaced, Expr::value(false))
            .col_expr(Column::PartBytes, Expr::value(stored(file.part_bytes)))
            .col_expr(Column::LengthBytes, Expr::value(Option::<i64>::None))
            .col_expr(Column::ReceivedBytes, Expr::value(0_i64))
            .col_expr(Column::HashState, Expr::value(Option::<String>::None))
            .col_expr(Column::TailKey, Expr::value(Option::<String>::None));
        let is_held = update.exec(db).await?.rows_affected == 1;
        if is_held {
            let parts = part::Entity::delete_many().filter(part::Column::UploadId.eq(self.upload.as_str()));
            parts.exec(db).await?;
        }
        Ok(is_held)
    }

    /// Records that the file is complete and checked.
    ///
    /// # Errors
    /// Any database error.
    pub async fn complete(&self, db: &impl ConnectionTrait, sha256: &str) -> Result<bool, DbErr> {
        let update = Entity::update_many()
            .filter(self.is_held())
            .col_expr(Column::Sha256, Expr::value(sha256))
            .col_expr(Column::TailKey, Expr::value(Option::<String>::None));
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Hands the file over to the source of a task, in the transaction that creates both, and releases the upload.
    /// Returns `false` if another request has the upload; the caller must roll back then.
    ///
    /// # Errors
    /// Any database error.
    pub async fn attach(&self, db: &DatabaseTransaction, task: i64) -> Result<bool, DbErr> {
        let update = Entity::update_many()
            .filter(self.is_held())
            .filter(Column::TaskId.is_null())
            .filter(Column::Sha256.is_not_null())
            .col_expr(Column::TaskId, Expr::value(task))
            .col_expr(Column::Holder, Expr::value(Option::<String>::None));
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Deletes the row, and returns its place to the link of a guest unless there is a task. Returns `false` if another
    /// request has the upload.
    ///
    /// # Errors
    /// Any database error.
    pub async fn delete(&self, db: &DatabaseTransaction) -> Result<bool, DbErr> {
        let deleted = Entity::delete_many().filter(self.is_held());
        let Some(row) = deleted.exec_with_returning(db).await?.pop() else {
            return Ok(false);
        };
        if let (Some(link), None) = (row.guest_link_id, row.task_id) {
            guest_link::return_place(db, link).await?;
        }
        Ok(true)
    }

    /// Releases the upload for the next request.
    ///
    /// # Errors
    /// Any database error.
    pub async fn release(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        let update = Entity::update_many().filter(self.is_held());
        let update = update.col_expr(Column::Holder, Expr::value(Option::<String>::None));
        update.exec(db).await.map(drop)
    }
}
