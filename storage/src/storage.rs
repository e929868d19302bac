//! The handle everybody holds, and the verbs that move no bytes.

use crate::error::Error;
use crate::key::{Key, Prefix, Target};
use crate::memory::Memory;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const READY_WITHIN: Duration = Duration::from_secs(2);

/// A local directory or a bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) place: Arc<Place>,
    pub(crate) memory: Memory,
}

#[derive(Debug)]
pub(crate) enum Place {
    Directory(PathBuf),
    Bucket,
}

impl Storage {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, place: Place) -> Self {
        Self {
            store,
            place: Arc::new(place),
            memory: Memory::new(),
        }
    }

    /// The length of an object in bytes, `None` when there is none.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn head(&self, key: &Key) -> Result<Option<u64>, Error> {
        match self.store.head(&key.location()).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(Error::of_store("read", key.as_str(), source)),
        }
    }

    /// Where the object lies as a file, so that it can be opened without a copy; `None` for a bucket.
    /// Says nothing about whether it exists.
    #[must_use]
    pub fn local_path(&self, key: &Key) -> Option<PathBuf> {
        self.local_root().map(|root| root.join(key.as_str()))
    }

    /// The directory that holds all objects, `None` for a bucket. A scratch directory on the same
    /// filesystem makes [`Storage::adopt`] a rename.
    #[must_use]
    pub fn local_root(&self) -> Option<&Path> {
        match self.place.as_ref() {
            Place::Directory(root) => Some(root),
            Place::Bucket => None,
        }
    }

    /// Removes one object; an absent one is fine.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn delete(&self, key: &Key) -> Result<(), Error> {
        match self.store.delete(&key.location()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(Error::of_store("remove", key.as_str(), source)),
        }
    }

    /// Removes what a row named; nothing there is fine.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn remove(&self, target: &Target) -> Result<(), Error> {
        match target {
            Target::Object(key) => self.delete(key).await,
            Target::Set(prefix) => self.delete_prefix(prefix).await,
        }
    }

    /// Removes everything below the prefix; nothing there is fine.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer; some objects may be gone by then.
    pub async fn delete_prefix(&self, prefix: &Prefix) -> Result<(), Error> {
        if let Some(root) = self.local_root() {
            return remove_directory(&root.join(prefix.as_str()), prefix).await;
        }
        let found = self
            .store
            .list(Some(&prefix.location()))
            .map_ok(|meta| meta.location)
            .boxed();
        let mut removed = self.store.delete_stream(found);
        while let Some(outcome) = removed.next().await {
            match outcome {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(Error::of_store("remove", prefix.as_str(), source)),
            }
        }
        Ok(())
    }

    /// Asks the store for a sign of life; returns within two seconds.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the directory or the bucket is gone, refuses us or stays silent.
    pub async fn ready(&self) -> Result<(), Error> {
        let unavailable = |source| Error::Unavailable {
            doing: "reach",
            key: "/".to_owned(),
            source,
        };
        match tokio::time::timeout(READY_WITHIN, self.look()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(unavailable(reason)),
            Err(late) => Err(unavailable(late.into())),
        }
    }

    async fn look(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if let Some(root) = self.local_root() {
            return Ok(tokio::fs::read_dir(root).await.map(drop)?);
        }
        // A list, since the answer to a head does not tell a missing object from a missing bucket.
        let nothing = object_store::path::Path::from("ready");
        self.store.list(Some(&nothing)).try_next().await?;
        Ok(())
    }
}

async fn remove_directory(path: &Path, prefix: &Prefix) -> Result<(), Error> {
    match tokio::fs::remove_dir_all(path).await {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Unavailable {
            doing: "remove",
            key: prefix.to_string(),
            source: source.into(),
        }),
        _ => Ok(()),
    }
}
