//! The end of an unfinished file: it becomes a whole object, or is removed.

use super::position::{Multipart, Position, Proceed, Progress, not_found};
use super::{bucket, directory, hash};
use crate::error::{Error, is_no_such_upload, is_part_refusal};
use crate::key::Key;
use crate::put::Stored;
use crate::storage::{Location, Storage};
use object_store::multipart::{MultipartStore, PartId};
use sha2::Digest;

impl Storage {
    /// Makes an object of a file whose last byte has been written. `parts` are the content ids of its multipart upload.
    /// It is no error if it is an object already.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the file is gone; [`Error::Unavailable`].
    pub async fn complete(&self, position: &Position, parts: Vec<String>) -> Result<Stored, Error> {
        let hash = hash::from_text(position.hash_state.as_deref(), &position.key)?;
        if self.assemble(position, parts).await? != position.bytes {
            return Err(not_found(&position.key));
        }
        Ok(Stored {
            bytes: position.bytes,
            sha256: hex::encode(hash.finalize()),
        })
    }

    /// Makes an object of parts, named by their content ids (`ETag`), and returns its length in bytes. It is no error
    /// if it is an object already.
    ///
    /// # Errors
    /// [`Error::PartsRefused`]; [`Error::NotFound`] if the file or its multipart upload is gone;
    /// [`Error::Unavailable`].
    pub async fn assemble(&self, position: &Position, parts: Vec<String>) -> Result<u64, Error> {
        let key = &position.key;
        // The process that completed it may have died before it could record that.
        if let Some(bytes) = self.head(key).await? {
            return Ok(bytes);
        }
        let (Location::Bucket(bucket), Some(multipart)) = (self.location.as_ref(), &position.multipart) else {
            return Err(not_found(key));
        };
        let parts = parts.into_iter().map(|content_id| PartId { content_id }).collect();
        let completed = bucket.complete_multipart(&key.location(), &multipart.id, parts).await;
        // Another request may have completed it while this one tried.
        match (self.head(key).await?, completed) {
            (Some(bytes), _) => Ok(bytes),
            (None, Ok(_)) => Err(not_found(key)),
            (None, Err(source)) if is_no_such_upload(&source) => Err(not_found(key)),
            (None, Err(source)) if is_part_refusal(&source) => Err(Error::PartsRefused { key: key.to_string() }),
            (None, Err(source)) => Err(Error::of_store("write", key.as_str(), source)),
        }
    }

    /// Aborts the multipart upload of an unfinished file; nothing in a directory. It is no error if it is gone or
    /// completed.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn abort_multipart(&self, key: &Key, multipart_id: Option<&str>) -> Result<(), Error> {
        let (Location::Bucket(bucket), Some(id)) = (self.location.as_ref(), multipart_id) else {
            return Ok(());
        };
        match bucket.abort_multipart(&key.location(), &id.to_owned()).await {
            Ok(()) => Ok(()),
            Err(error) if is_no_such_upload(&error) => Ok(()),
            // Servers differ in how they refuse to abort an upload that was completed.
            Err(_) if self.head(key).await?.is_some() => Ok(()),
            Err(source) => Err(Error::of_store("remove", key.as_str(), source)),
        }
    }

    /// Copies the durable bytes of an unfinished file to a new one, because an appender that does not end may still
    /// write to the first one. `parts` are the content ids of its multipart upload. Returns the new multipart upload in
    /// a bucket, and its progress. `proceed` is called after each piece.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Unavailable`], [`Error::NotFound`]; [`Error::InUse`] when `proceed` returns `false`.
    pub async fn copy_unfinished(
        &self,
        position: &Position,
        parts: Vec<String>,
        to: &Key,
        proceed: &Proceed,
    ) -> Result<Option<(Multipart, Progress)>, Error> {
        match (self.location.as_ref(), &position.multipart) {
            (Location::Directory(root), _) => {
                directory::copy(position, to, root, proceed).await?;
                Ok(None)
            }
            (Location::Bucket(store), Some(multipart)) => {
                let whole = multipart.whole_bytes(position.bytes);
                self.end_parts(position, whole, parts).await?;
                let new = bucket::begin(store, to, multipart.part_bytes).await?;
                let start = Position {
                    key: to.clone(),
                    bytes: 0,
                    hash_state: None,
                    multipart: Some(new.clone()),
                };
                let copied = bucket::copy(self, position, &start, proceed).await;
                if copied.is_err() {
                    // If this fails too, a lifecycle rule of the bucket removes it.
                    let _ = self.abort_multipart(to, Some(&new.id)).await;
                }
                Ok(Some((new, copied?)))
            }
            (Location::Bucket(_), None) => Err(not_found(&position.key)),
        }
    }

    /// Ends a multipart upload, so that it accepts no more parts: an object of its `whole` bytes stays, if there are
    /// any.
    async fn end_parts(&self, position: &Position, whole: u64, parts: Vec<String>) -> Result<(), Error> {
        let start = Position {
            bytes: whole,
            ..position.clone()
        };
        if whole > 0 {
            return self.complete(&start, parts).await.map(drop);
        }
        let id = position.multipart.as_ref().map(|multipart| multipart.id.as_str());
        self.abort_multipart(&position.key, id).await
    }
}
