//! Copying an object or a set of files to another storage, for backups.

use crate::error::Error;
use crate::key::{FileName, Key, Target};
use crate::put::{ObjectWriter, Stored};
use crate::storage::Storage;
use futures::TryStreamExt;
use object_store::ObjectStore;

impl Storage {
    /// Copies an object or a whole set to `to`, under the same keys and in constant memory. The copy is durable when
    /// this returns.
    ///
    /// Returns what the row of an output records: the length of all files, and the hash of the object or, for a set, of
    /// the file named `entry`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the object, or the entry of the set, does not exist; [`Error::Full`] if `to` is full;
    /// [`Error::Unavailable`]. Files of a set that were copied before the error stay in `to`.
    pub async fn copy(&self, to: &Self, target: &Target, entry: Option<&str>) -> Result<Stored, Error> {
        let prefix = match target {
            Target::Object(key) => return self.copy_object(to, key).await,
            Target::Set(prefix) => prefix,
        };
        let entry = entry.and_then(|name| prefix.file(&FileName::parse(name).ok()?).ok());
        let mut entry_sha256 = None;
        let mut bytes = 0;
        let mut files = self.store.list(Some(&prefix.location()));
        let failed = |source| Error::of_store("list", prefix.as_str(), source);
        while let Some(file) = files.try_next().await.map_err(failed)? {
            // Not a valid key: an unfinished object of a killed process.
            let Ok(key) = Key::parse(file.location.as_ref()) else {
                continue;
            };
            let copied = self.copy_object(to, &key).await?;
            bytes += copied.bytes;
            if entry.as_ref() == Some(&key) {
                entry_sha256 = Some(copied.sha256);
            }
        }
        let sha256 = entry_sha256.ok_or_else(|| Error::NotFound {
            key: prefix.to_string(),
        })?;
        Ok(Stored { bytes, sha256 })
    }

    async fn copy_object(&self, to: &Self, key: &Key) -> Result<Stored, Error> {
        let missing = || Error::NotFound { key: key.to_string() };
        let bytes = self.head(key).await?.ok_or_else(missing)?;
        let mut incoming = self.get_range(key, 0..bytes).await?;
        let mut writer = ObjectWriter::start(to, key, bytes);
        loop {
            let step = match incoming.try_next().await {
                Ok(Some(chunk)) => writer.write(&chunk).await,
                Ok(None) => return writer.finish().await,
                Err(error) => Err(error),
            };
            if let Err(error) = step {
                writer.abort().await;
                return Err(error);
            }
        }
    }
}
