//! A request that holds a resumable upload (`entity::upload`).

pub(super) use super::lease::interrupted;

use super::lease::{Keeper, take};
use super::limits::{lifetime, max_bytes};
use super::uploader::Uploader;
use crate::Error;
use crate::app::Core;
use crate::container::{PEEK_BYTES, check_media};
use crate::trash::{remove, remove_listed};
use bytes::BytesMut;
use domain::Code;
use entity::upload::{self, Checkpoint, Ownership, Purpose, UploadLease};
use entity::{DatabaseTransaction, DbErr, trash};
use futures::TryStreamExt;
use storage::{Appender, Extent, Key, Multipart, Position, Progress};
use uuid::Uuid;

/// An upload, held by this request until [`Session::release`].
pub(super) struct Session {
    pub(super) app: Core,
    /// The row as this request has left it.
    pub(super) row: upload::Model,
    pub(super) lease: UploadLease,
    pub(super) keeper: Keeper,
}

impl Session {
    /// Takes over an upload of the sender that `accepts` matches. A request that holds it ends first.
    ///
    /// # Errors
    /// `upload_not_found`; errors of the database.
    pub(super) async fn take_over(
        app: &Core,
        uploader: &Uploader,
        id: &str,
        accepts: fn(&upload::Model) -> bool,
    ) -> Result<Self, Error> {
        let found = Some(uploader.find(app, id).await?);
        found.filter(accepts).ok_or(Code::UploadNotFound)?;
        let lease = UploadLease::new(id.to_owned(), Uuid::new_v4().to_string());
        let row = take(app, id, &lease).await?;
        Ok(Self {
            keeper: Keeper::start(app, &lease, app.active.enter(id)),
            app: app.clone(),
            row,
            lease,
        })
    }

    /// Takes an upload that no request holds. `None` if another one is faster.
    ///
    /// # Errors
    /// Errors of the database.
    pub(super) async fn take_free(app: &Core, id: &str) -> Result<Option<Self>, Error> {
        let lease = UploadLease::new(id.to_owned(), Uuid::new_v4().to_string());
        let taken = app.with_timeout(lease.take(&app.db, None)).await?;
        Ok(taken.map(|row| Self {
            keeper: Keeper::start(app, &lease, app.active.enter(id)),
            app: app.clone(),
            row,
            lease,
        }))
    }

    /// The largest length of the file.
    pub(super) fn max_bytes(&self) -> u64 {
        let of_upload = self.row.max_bytes.and_then(|bytes| u64::try_from(bytes).ok());
        let of_installation = max_bytes(&self.app, self.row.purpose.into());
        of_upload.unwrap_or(u64::MAX).min(of_installation)
    }

    /// Stores the validator of the reply from which the next bytes of a fetch are.
    ///
    /// # Errors
    /// `upload_interrupted` when another request has the upload; errors of the database.
    pub(super) async fn set_validator(&self, validator: Option<&str>) -> Result<(), Error> {
        let set = self
            .app
            .with_timeout(self.lease.set_validator(&self.app.db, validator))
            .await?;
        set.then_some(()).ok_or_else(interrupted)
    }

    /// The position of the file.
    ///
    /// # Errors
    /// An internal error when the row has no valid key.
    pub(super) fn position(&self) -> Result<Position, Error> {
        let parse = |text: &str| Key::parse(text).map_err(anyhow::Error::from);
        let row = &self.row;
        let multipart = match &row.multipart_id {
            Some(id) => Some(Multipart {
                id: id.clone(),
                part_bytes: u64::try_from(row.part_bytes).unwrap_or_default(),
                tail: row.tail_key.as_deref().map(parse).transpose()?,
            }),
            None => None,
        };
        Ok(Position {
            key: parse(&row.key)?,
            bytes: row.received(),
            hash_state: row.hash_state.clone(),
            multipart,
        })
    }

    /// Opens the file for bytes behind its position. If a request that was replaced may still write to it, the file is
    /// copied: in a directory that is known by its lock, in a bucket only by the row.
    ///
    /// # Errors
    /// `upload_not_found` when the file is gone; errors of the storage and the database.
    pub(super) async fn appender(&mut self) -> Result<Appender, Error> {
        let mut position = self.position()?;
        if self.row.replaced && position.multipart.is_some() {
            self.copy_file(&position).await?;
            position = self.position()?;
        }
        match self.app.storage.resume(&position).await {
            Ok(appender) => Ok(appender),
            Err(storage::Error::InUse { .. }) => {
                self.copy_file(&position).await?;
                self.app.storage.resume(&self.position()?).await.map_err(gone)
            }
            Err(error) => Err(gone(error)),
        }
    }

    /// Tells if this request may go on.
    ///
    /// # Errors
    /// Errors of the database.
    pub(super) async fn state(&self) -> Result<Ownership, Error> {
        Ok(self.app.with_timeout(self.lease.state(&self.app.db)).await?)
    }

    /// Renews the lease.
    ///
    /// # Errors
    /// `upload_interrupted` when another request has the upload; errors of the database.
    pub(super) async fn renew(&self) -> Result<(), Error> {
        let renewed = self.app.with_timeout(self.lease.renew(&self.app.db)).await?;
        renewed.then_some(()).ok_or_else(interrupted)
    }

    /// Makes bytes durable and records them.
    ///
    /// # Errors
    /// `upload_not_found` when the file is gone; `upload_interrupted` when another request has the upload; errors of
    /// the storage and the database.
    pub(super) async fn checkpoint(&mut self, appender: &mut Appender, extent: Extent) -> Result<(), Error> {
        let progress = appender.checkpoint(extent).await.map_err(gone)?;
        // The whole parts of a bucket may end before the tail with which this request began.
        if progress.bytes > self.row.received() || extent == Extent::End {
            self.record(progress).await
        } else {
            self.renew().await
        }
    }

    /// Records progress.
    ///
    /// # Errors
    /// `upload_interrupted` when another request has the upload; errors of the database.
    pub(super) async fn record(&mut self, progress: Progress) -> Result<(), Error> {
        let checkpoint = checkpoint(progress);
        let lifetime = lifetime(self.row.fetched, &self.app.settings);
        let written = entity::write(&self.app.db, async |db| {
            let is_held = self.lease.checkpoint(db, &checkpoint, lifetime).await?;
            is_held.then_some(()).ok_or_else(interrupted)
        });
        self.app.with_timeout(written).await?;
        self.row.received_bytes = i64::try_from(checkpoint.received_bytes).unwrap_or(i64::MAX);
        self.row.hash_state = Some(checkpoint.hash_state);
        let before = std::mem::replace(&mut self.row.tail_key, checkpoint.tail_key);
        if let Some(before) = before.filter(|before| self.row.tail_key.as_ref() != Some(before))
            && let Ok(before) = Key::parse(&before)
        {
            // If this fails, it is removed with the other tails.
            let _ = self.app.storage.delete(&before).await;
        }
        Ok(())
    }

    /// Makes an object of a file whose last byte is durable, and checks it again. A file that is no media is removed.
    ///
    /// # Errors
    /// `not_media`, `upload_interrupted`; errors of the storage and the database.
    pub(super) async fn complete(&mut self) -> Result<(), Error> {
        if self.row.sha256.is_some() {
            return Ok(());
        }
        if self.row.tail_key.is_some() {
            // The length became known after the last byte, so the tail is no part yet.
            let mut appender = self.appender().await?;
            self.checkpoint(&mut appender, Extent::End).await?;
        }
        let (position, app) = (self.position()?, self.app.clone());
        let parts = app.with_timeout(upload::parts(&app.db, &self.row.id)).await?;
        let stored = app.storage.complete(&position, parts).await.map_err(gone)?;
        self.check_format(&position.key).await?;
        let completed = app.with_timeout(self.lease.complete(&app.db, &stored.sha256)).await?;
        completed.then_some(()).ok_or_else(interrupted)?;
        if position.multipart.is_some() {
            // If this fails, the tails are removed with the row.
            let _ = app.storage.delete_prefix(&position.key.upload_tails()).await;
        }
        self.row.sha256 = Some(stored.sha256);
        self.row.tail_key = None;
        Ok(())
    }

    /// Checks the first bytes of a file that is an object. A video that is no media is removed.
    ///
    /// # Errors
    /// `not_media`, `upload_interrupted`; errors of the storage and the database.
    pub(super) async fn check_format(&self, key: &Key) -> Result<(), Error> {
        if self.row.purpose == Purpose::Manifest {
            return Ok(());
        }
        let head = self.read(key, PEEK_BYTES as u64).await.map_err(gone)?;
        if let Err(refusal) = check_media(&head) {
            self.refuse().await?;
            return Err(refusal.into());
        }
        Ok(())
    }

    async fn read(&self, key: &Key, bytes: u64) -> Result<BytesMut, storage::Error> {
        let mut chunks = self.app.storage.get_range(key, 0..bytes).await?;
        let mut read = BytesMut::new();
        while let Some(chunk) = chunks.try_next().await? {
            read.extend_from_slice(&chunk);
        }
        Ok(read)
    }

    /// The bytes of a file that has too few to detect its format; `None` if it has enough, or if any format is
    /// accepted. In a bucket they are in the tail, because a part is larger.
    ///
    /// # Errors
    /// `upload_not_found` when the file is gone; errors of the storage.
    pub(super) async fn first_bytes(&self) -> Result<Option<BytesMut>, Error> {
        let is_known = self.row.received() >= PEEK_BYTES as u64 || self.row.purpose == Purpose::Manifest;
        let position = self.position()?;
        if is_known || position.bytes == 0 {
            return Ok((!is_known).then(BytesMut::new));
        }
        let tail = position.multipart.and_then(|multipart| multipart.tail);
        let read = self.read(&tail.unwrap_or(position.key), position.bytes).await;
        read.map(Some).map_err(gone)
    }

    /// Removes an upload that is no media. A fetch stays, because it tells its user the reason.
    ///
    /// # Errors
    /// Those of [`Session::discard`].
    pub(super) async fn refuse(&self) -> Result<(), Error> {
        if self.row.fetched { Ok(()) } else { self.discard().await }
    }

    /// Removes the upload and the files that only it refers to.
    ///
    /// # Errors
    /// `upload_interrupted` when another request has the upload; errors of the storage and the database.
    pub(super) async fn discard(&self) -> Result<(), Error> {
        let (app, row) = (&self.app, &self.row);
        // The bucket does not know the lease.
        self.renew().await?;
        if let Ok(key) = Key::parse(&row.key) {
            app.storage.abort_multipart(&key, row.open_multipart()).await?;
        }
        let deleted = entity::write(&app.db, async |db| {
            if !self.lease.delete(db).await? {
                return Err(interrupted());
            }
            Ok::<_, Error>(self.list_files(db).await?)
        });
        app.with_timeout(deleted).await?;
        self.remove_files().await;
        Ok(())
    }

    /// Puts the files on the trash list.
    ///
    /// # Errors
    /// Any database error.
    pub(super) async fn list_files(&self, db: &DatabaseTransaction) -> Result<(), DbErr> {
        trash::add_keys(db, &self.row.files(), self.row.removal_delay()).await
    }

    /// Removes the files, which are on the trash list.
    pub(super) async fn remove_files(&self) {
        for key in &self.row.files() {
            if self.row.replaced {
                // It stays on the list, because a request that was replaced may write it again.
                remove(&self.app, key).await;
            } else {
                remove_listed(&self.app, key).await;
            }
        }
    }

    /// Releases the upload for the next request. If the database does not answer, its lease ends.
    pub(super) async fn release(self) -> upload::Model {
        if let Err(error) = self.app.with_timeout(self.lease.release(&self.app.db)).await {
            tracing::warn!(%error, "failed to release an upload; its lease will end");
        }
        self.row
    }
}

/// The error of an upload whose file is gone, as after a backup was restored, or after the bucket has aborted a
/// multipart upload by its own rule.
pub(super) fn gone(error: storage::Error) -> Error {
    match error {
        storage::Error::NotFound { key } => {
            tracing::warn!(key, "the file of an upload is gone");
            Code::UploadNotFound.into()
        }
        error => error.into(),
    }
}

/// Progress as the row records it.
pub(super) fn checkpoint(progress: Progress) -> Checkpoint {
    Checkpoint {
        received_bytes: progress.bytes,
        hash_state: progress.hash_state,
        parts: progress.parts,
        tail_key: progress.tail.as_ref().map(Key::to_string),
    }
}

/// The reason for which bytes could not be stored: the storage refuses those of a request that was replaced.
pub(super) async fn reason(session: &Session, error: Error) -> Error {
    match session.state().await {
        Ok(Ownership::Lost) => interrupted(),
        _ => error,
    }
}
