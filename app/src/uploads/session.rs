//! A request that holds a resumable upload (`entity::upload`).

use super::active::ActiveUpload;
use super::lifetime::lifetime;
use super::uploader::Uploader;
use crate::app::Core;
use crate::container::{PEEK_BYTES, check_media};
use crate::trash::remove_listed;
use crate::{Error, Refusal};
use bytes::BytesMut;
use domain::Code;
use entity::trash;
use entity::upload::{self, Checkpoint, EmptyFile, Ownership, UploadLease};
use futures::TryStreamExt;
use std::time::Duration;
use storage::{Appender, Extent, Key, Multipart, Position, Progress};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// Time that a holder has to store its bytes and to release the upload. After that it is dead, frozen or cut off from
/// the database, and the upload is taken by force.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
/// First pause between two tries to take the upload; it grows up to [`TAKE_PAUSE_MAX`].
const TAKE_PAUSE: Duration = Duration::from_millis(10);
const TAKE_PAUSE_MAX: Duration = Duration::from_millis(250);
/// Delay after which the file is removed that a request which was replaced may still write to.
const REPLACED_AFTER: Duration = Duration::from_hours(1);

/// An upload, held by this request until [`Session::release`].
pub(super) struct Session {
    pub(super) app: Core,
    /// The row as this request has left it.
    pub(super) row: upload::Model,
    pub(super) lease: UploadLease,
    pub(super) active: ActiveUpload,
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
            active: app.active.enter(id),
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
        let taken = app.with_timeout(lease.take(&app.db, false)).await?;
        Ok(taken.map(|row| Self {
            active: app.active.enter(id),
            app: app.clone(),
            row,
            lease,
        }))
    }

    /// The largest length of the file.
    pub(super) fn max_bytes(&self) -> u64 {
        let of_upload = self.row.max_bytes.and_then(|bytes| u64::try_from(bytes).ok());
        let of_installation = self.app.settings.limits.max_upload_bytes;
        of_upload.unwrap_or(u64::MAX).min(of_installation)
    }

    /// Drops all received bytes and begins with a new file.
    ///
    /// # Errors
    /// `upload_interrupted` when another request has the upload; errors of the storage and the database.
    pub(super) async fn begin_again(&mut self) -> Result<(), Error> {
        let (app, key) = (self.app.clone(), Key::source(Uuid::new_v4()));
        let (keys, old) = ([key.to_string()], self.row.files());
        app.with_timeout(trash::add_keys(&app.db, &keys, REPLACED_AFTER))
            .await?;
        let multipart = app.storage.begin(&key, app.settings.limits.max_upload_bytes).await?;
        let file = EmptyFile {
            key: key.to_string(),
            part_bytes: multipart.as_ref().map_or(0, |multipart| multipart.part_bytes),
            multipart_id: multipart.map(|multipart| multipart.id),
        };
        let written = entity::write(&app.db, async |db| {
            let is_held = self.lease.begin_again(db, &file).await?;
            is_held.then_some(()).ok_or_else(interrupted)?;
            trash::remove_key(db, key.as_str()).await?;
            Ok::<_, Error>(trash::add_keys(db, &old, REPLACED_AFTER).await?)
        });
        app.with_timeout(written).await?;
        if let Ok(old) = Key::parse(&self.row.key) {
            // If this fails, the bucket removes the parts by its own rule.
            let _ = app.storage.abort_multipart(&old, self.row.open_multipart()).await;
        }
        let row = &mut self.row;
        (row.key, row.multipart_id) = (file.key, file.multipart_id);
        row.part_bytes = i64::try_from(file.part_bytes).unwrap_or(i64::MAX);
        (row.length_bytes, row.received_bytes) = (None, 0);
        (row.hash_state, row.tail_key) = (None, None);
        Ok(())
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
                Ok(self.app.storage.resume(&self.position()?).await?)
            }
            Err(error) => Err(gone(error)),
        }
    }

    async fn copy_file(&mut self, position: &Position) -> Result<(), Error> {
        tracing::warn!(key = %position.key, "copying an upload, because a replaced request may still write to it");
        let (app, new) = (self.app.clone(), Key::source(Uuid::new_v4()));
        let (old, new_keys) = (self.row.files(), [new.to_string()]);
        app.with_timeout(trash::add_keys(&app.db, &new_keys, REPLACED_AFTER))
            .await?;
        let parts = app.with_timeout(upload::parts(&app.db, &self.row.id)).await?;
        let copied = app.storage.copy_unfinished(position, parts, &new).await.map_err(gone)?;
        let (multipart, progress) = copied.unzip();
        let multipart_id = multipart.map(|multipart| multipart.id);
        let (progress, lifetime) = (progress.map(checkpoint), app.settings.upload_ttl);
        let moved = entity::write(&app.db, async |db| {
            if !self.lease.move_to(db, new.as_str(), multipart_id.as_deref()).await? {
                return Err(interrupted());
            }
            if let Some(progress) = &progress {
                self.lease.checkpoint(db, progress, lifetime).await?;
            }
            trash::remove_key(db, new.as_str()).await?;
            Ok::<_, Error>(trash::add_keys(db, &old, REPLACED_AFTER).await?)
        });
        app.with_timeout(moved).await?;
        self.row.key = new.to_string();
        self.row.multipart_id = multipart_id;
        self.row.replaced = false;
        if let Some(progress) = progress {
            self.row.tail_key = progress.tail_key;
        }
        Ok(())
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
    /// `upload_interrupted` when another request has the upload; errors of the storage and the database.
    pub(super) async fn checkpoint(&mut self, appender: &mut Appender, extent: Extent) -> Result<(), Error> {
        let progress = appender.checkpoint(extent).await?;
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
        self.row.tail_key = checkpoint.tail_key;
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

    /// Checks the first bytes of a file that is an object. One that is no media is removed.
    ///
    /// # Errors
    /// `not_media`, `upload_interrupted`; errors of the storage and the database.
    pub(super) async fn check_format(&self, key: &Key) -> Result<(), Error> {
        let mut bytes = self.app.storage.get_range(key, 0..PEEK_BYTES as u64).await?;
        let mut head = BytesMut::new();
        while let Some(chunk) = bytes.try_next().await? {
            head.extend_from_slice(&chunk);
        }
        if let Err(refusal) = check_media(&head) {
            self.refuse().await?;
            return Err(refusal.into());
        }
        Ok(())
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
        if let Ok(key) = Key::parse(&row.key) {
            app.storage.abort_multipart(&key, row.open_multipart()).await?;
        }
        let files = row.files();
        let deleted = entity::write(&app.db, async |db| {
            if !self.lease.delete(db).await? {
                return Err(interrupted());
            }
            Ok::<_, Error>(trash::add_keys(db, &files, Duration::ZERO).await?)
        });
        app.with_timeout(deleted).await?;
        for key in &files {
            remove_listed(app, key).await;
        }
        Ok(())
    }

    /// Releases the upload for the next request. If the database does not answer, its lease ends.
    pub(super) async fn release(self) -> upload::Model {
        if let Err(error) = self.app.with_timeout(self.lease.release(&self.app.db)).await {
            tracing::warn!(%error, "failed to release an upload; its lease will end");
        }
        self.row
    }
}

/// The error of an upload whose file is gone, as after a backup was restored.
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
fn checkpoint(progress: Progress) -> Checkpoint {
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

/// The error of a request whose upload another one has taken over.
pub(super) fn interrupted() -> Error {
    Refusal::new(Code::UploadInterrupted).into()
}

/// Takes an upload: at once if it is free, else when its holder has released it, and by force if it does not.
async fn take(app: &Core, id: &str, lease: &UploadLease) -> Result<upload::Model, Error> {
    let (begun, mut pause) = (Instant::now(), TAKE_PAUSE);
    loop {
        let by_force = begun.elapsed() > RELEASE_TIMEOUT;
        if let Some(row) = app.with_timeout(lease.take(&app.db, by_force)).await? {
            return Ok(row);
        }
        if by_force {
            return Err(Code::UploadNotFound.into());
        }
        // Asked again each time, because another newcomer may have taken the upload.
        app.with_timeout(lease.ask(&app.db)).await?;
        app.active.wake(id);
        sleep(pause).await;
        pause = (pause * 2).min(TAKE_PAUSE_MAX);
    }
}
