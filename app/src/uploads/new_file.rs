//! Moves of an upload to a new file, because a request that was replaced may still write to the old one.

use super::limits::lifetime;
use super::session::{Session, checkpoint, gone, interrupted, reason};
use crate::Error;
use crate::app::Core;
use crate::trash::remove_listed;
use domain::Code;
use entity::upload::{self, EmptyFile, REPLACED_AFTER};
use entity::{DatabaseTransaction, DbErr, trash};
use std::time::Duration;
use storage::{Key, Position};
use uuid::Uuid;

/// Delay after which a new file is removed that no row names: longer than any copy.
const UNRECORDED_AFTER: Duration = Duration::from_hours(48);

/// A new file that is on the trash list, with its tails, until the row names it.
struct NewFile {
    key: Key,
    keys: [String; 2],
}

impl NewFile {
    async fn list(app: &Core) -> Result<Self, Error> {
        let key = Key::source(Uuid::new_v4());
        let keys = [key.to_string(), key.upload_tails().to_string()];
        app.with_timeout(trash::add_keys(&app.db, &keys, UNRECORDED_AFTER))
            .await?;
        Ok(Self { key, keys })
    }

    /// Takes the file off the list, in the transaction that writes the row.
    async fn unlist(&self, db: &DatabaseTransaction) -> Result<(), DbErr> {
        for key in &self.keys {
            trash::remove_key(db, key).await?;
        }
        Ok(())
    }

    /// Removes the file after an error. After a commit that may have succeeded, the trash list decides.
    async fn drop_after(
        &self,
        app: &Core,
        multipart_id: Option<&str>,
        written: Result<(), Error>,
    ) -> Result<(), Error> {
        match &written {
            Ok(()) => {}
            Err(Error::Client(refusal)) if refusal.code == Code::Unavailable => {}
            Err(_) => {
                // If this fails, the bucket removes the parts by its own rule.
                let _ = app.storage.abort_multipart(&self.key, multipart_id).await;
                for key in &self.keys {
                    remove_listed(app, key).await;
                }
            }
        }
        written
    }
}

impl Session {
    /// Drops all received bytes and begins with a new file.
    ///
    /// # Errors
    /// `upload_interrupted` when another request has the upload; errors of the storage and the database.
    pub(super) async fn begin_again(&mut self) -> Result<(), Error> {
        let (app, new) = (self.app.clone(), NewFile::list(&self.app).await?);
        let begun = app.storage.begin(&new.key, self.max_bytes()).await;
        let multipart = match begun {
            Ok(multipart) => multipart,
            Err(error) => return new.drop_after(&app, None, Err(error.into())).await,
        };
        let file = EmptyFile {
            key: new.key.to_string(),
            part_bytes: multipart.as_ref().map_or(0, |multipart| multipart.part_bytes),
            multipart_id: multipart.map(|multipart| multipart.id),
        };
        let written = entity::write(&app.db, async |db| {
            let is_held = self.lease.begin_again(db, &file).await?;
            is_held.then_some(()).ok_or_else(interrupted)?;
            new.unlist(db).await?;
            Ok::<_, Error>(self.list_files(db).await?)
        });
        let written = app.with_timeout(written).await;
        new.drop_after(&app, file.multipart_id.as_deref(), written).await?;
        if let Ok(old) = Key::parse(&self.row.key) {
            // If this fails, the bucket removes the parts by its own rule.
            let _ = app.storage.abort_multipart(&old, self.row.open_multipart()).await;
        }
        self.remove_files().await;
        let row = &mut self.row;
        (row.key, row.multipart_id) = (file.key, file.multipart_id);
        row.part_bytes = i64::try_from(file.part_bytes).unwrap_or(i64::MAX);
        (row.length_bytes, row.received_bytes) = (None, 0);
        (row.hash_state, row.tail_key, row.replaced) = (None, None, false);
        Ok(())
    }

    /// Copies the durable bytes to a new file.
    ///
    /// # Errors
    /// `upload_not_found`; `upload_interrupted` when another request has the upload; errors of the storage and the
    /// database.
    pub(super) async fn copy_file(&mut self, position: &Position) -> Result<(), Error> {
        tracing::warn!(key = %position.key, "copying an upload, because a replaced request may still write to it");
        let (app, old, new) = (self.app.clone(), self.row.files(), NewFile::list(&self.app).await?);
        let parts = app.with_timeout(upload::parts(&app.db, &self.row.id)).await?;
        let copied = app
            .storage
            .copy_unfinished(position, parts, &new.key, &self.keeper.proceed())
            .await;
        let copied = match copied {
            Ok(copied) => copied,
            Err(error) => {
                let error = reason(self, gone(error)).await;
                return new.drop_after(&app, None, Err(error)).await;
            }
        };
        let (multipart, progress) = copied.unzip();
        let multipart_id = multipart.map(|multipart| multipart.id);
        let (progress, lifetime) = (progress.map(checkpoint), lifetime(self.row.fetched, &app.settings));
        let moved = entity::write(&app.db, async |db| {
            if !self
                .lease
                .move_to(db, new.key.as_str(), multipart_id.as_deref())
                .await?
            {
                return Err(interrupted());
            }
            if let Some(progress) = &progress {
                self.lease.checkpoint(db, progress, lifetime).await?;
            }
            new.unlist(db).await?;
            Ok::<_, Error>(trash::add_keys(db, &old, REPLACED_AFTER).await?)
        });
        let moved = app.with_timeout(moved).await;
        new.drop_after(&app, multipart_id.as_deref(), moved).await?;
        self.row.key = new.key.to_string();
        self.row.multipart_id = multipart_id;
        self.row.replaced = false;
        if let Some(progress) = progress {
            self.row.tail_key = progress.tail_key;
        }
        Ok(())
    }
}
