//! Copying what a row names from one storage into another, as a backup does.

use crate::error::Error;
use crate::key::{FileName, Key, Target};
use crate::put::{Feed, Stored};
use crate::storage::Storage;
use futures::TryStreamExt;
use object_store::ObjectStore;

impl Storage {
    /// Copies one object or a whole set into `to`, under the same keys, durable when this returns. Constant memory.
    ///
    /// The length is that of all files, the hash that of the object or, in a set, of the file named `entry`: what the
    /// row of an output records.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the object, or the entry of the set, does not exist (any more); [`Error::Full`] when
    /// `to` has no room; [`Error::Unavailable`]. Files of a set that were copied before the error stay in `to`.
    pub async fn copy(&self, to: &Self, target: &Target, entry: Option<&str>) -> Result<Stored, Error> {
        let prefix = match target {
            Target::Object(key) => return self.copy_object(to, key).await,
            Target::Set(prefix) => prefix,
        };
        let entry = entry.and_then(|name| prefix.file(&FileName::parse(name).ok()?).ok());
        let mut sum = None;
        let mut bytes = 0;
        let mut files = self.store.list(Some(&prefix.location()));
        let failed = |source| Error::of_store("list", prefix.as_str(), source);
        while let Some(file) = files.try_next().await.map_err(failed)? {
            // Not one of ours: a half-written object of a writer that was killed.
            let Ok(key) = Key::parse(file.location.as_ref()) else {
                continue;
            };
            let copied = self.copy_object(to, &key).await?;
            bytes += copied.bytes;
            if entry.as_ref() == Some(&key) {
                sum = Some(copied.sha256);
            }
        }
        let sha256 = sum.ok_or_else(|| Error::NotFound {
            key: prefix.to_string(),
        })?;
        Ok(Stored { bytes, sha256 })
    }

    async fn copy_object(&self, to: &Self, key: &Key) -> Result<Stored, Error> {
        let missing = || Error::NotFound { key: key.to_string() };
        let bytes = self.head(key).await?.ok_or_else(missing)?;
        let mut incoming = self.get_range(key, 0..bytes).await?;
        let mut feed = Feed::start(to, key, bytes);
        loop {
            let step = match incoming.try_next().await {
                Ok(Some(chunk)) => feed.take(&chunk).await,
                Ok(None) => return feed.finish().await,
                Err(error) => Err(error),
            };
            if let Err(error) = step {
                feed.abort().await;
                return Err(error);
            }
        }
    }
}
