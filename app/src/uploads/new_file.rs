//! Moves of an upload to a new file, because a request that was replaced may still write to the old one.

use super::lifetime::lifetime;
use super::session::{Session, checkpoint, gone, interrupted, reason};
use crate::Error;
use entity::trash;
use entity::upload::{self, EmptyFile, REPLACED_AFTER};
use storage::{Key, Position};
use uuid::Uuid;

impl Session {
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

    pub(super) async fn copy_file(&mut self, position: &Position) -> Result<(), Error> {
        tracing::warn!(key = %position.key, "copying an upload, because a replaced request may still write to it");
        let (app, new) = (self.app.clone(), Key::source(Uuid::new_v4()));
        let (old, new_keys) = (self.row.files(), [new.to_string()]);
        app.with_timeout(trash::add_keys(&app.db, &new_keys, REPLACED_AFTER))
            .await?;
        let parts = app.with_timeout(upload::parts(&app.db, &self.row.id)).await?;
        let copied = app
            .storage
            .copy_unfinished(position, parts, &new, &self.keeper.proceed())
            .await;
        let copied = match copied {
            Ok(copied) => copied,
            Err(error) => return Err(reason(self, gone(error)).await),
        };
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
}
