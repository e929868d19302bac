//! Removal of uploads that are not continued.

use super::lease::is_free;
use super::{Column, Entity, Model, UploadLease};
use crate::trash;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, DatabaseConnection, ExprTrait, QueryOrder, QuerySelect};
use std::time::Duration;

/// Delay after which a file is removed that a holder which was replaced may still write to. What is removed before
/// comes back when the bucket gets a request of it late.
pub const REPLACED_AFTER: Duration = Duration::from_hours(1);

/// An upload whose time is over, held for its removal.
#[derive(Clone, Debug)]
pub struct Expired {
    /// The row.
    pub upload: Model,
    lease: UploadLease,
}

/// Takes uploads whose time is over and which no request holds, at most `limit`, the earliest first. `holder` must be
/// unique to the caller.
///
/// # Errors
/// Any database error.
pub async fn expired(db: &DatabaseConnection, holder: &str, limit: u64) -> Result<Vec<Expired>, DbErr> {
    // Checked again when it is taken: a request may have continued it in between.
    let has_expired = || {
        let is_over = Expr::col(Column::ExpiresAtMs).lte(crate::now_ms(db));
        Condition::all().add(is_over).add(is_free(db))
    };
    let due = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(has_expired())
        .order_by_asc(Column::ExpiresAtMs)
        .limit(limit);
    let mut taken = Vec::new();
    for id in due.into_tuple::<String>().all(db).await? {
        let lease = UploadLease::new(id, holder.to_owned());
        if let Some(upload) = lease.take_if(db, has_expired()).await? {
            taken.push(Expired { upload, lease });
        }
    }
    Ok(taken)
}

impl Expired {
    /// Deletes the row and puts its files on the trash list. The multipart upload of a bucket must be aborted before.
    ///
    /// # Errors
    /// Any database error.
    pub async fn delete(&self, db: &DatabaseConnection) -> Result<(), DbErr> {
        crate::write(db, async |db| {
            if self.lease.delete(db).await? {
                trash::add_keys(db, &self.upload.files(), self.upload.removal_delay()).await?;
            }
            Ok(())
        })
        .await
    }
}

impl Model {
    /// The storage keys of the files that only this row refers to: the file until it has a task, and the tails of a
    /// multipart upload.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        let file = self.task_id.is_none().then(|| self.key.clone());
        file.into_iter().chain(self.tails()).collect()
    }

    /// The prefix of the storage keys of the tails of a multipart upload.
    #[must_use]
    pub fn tails(&self) -> Option<String> {
        let id = self.key.strip_prefix("sources/").unwrap_or_default();
        self.multipart_id.is_some().then(|| format!("uploads/{id}/"))
    }

    /// Delay after which its files are removed for the last time.
    #[must_use]
    pub const fn removal_delay(&self) -> Duration {
        if self.replaced { REPLACED_AFTER } else { Duration::ZERO }
    }

    /// The multipart upload that is not completed yet.
    #[must_use]
    pub fn open_multipart(&self) -> Option<&str> {
        self.multipart_id.as_deref().filter(|_| self.sha256.is_none())
    }
}
