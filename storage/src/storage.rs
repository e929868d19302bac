//! The storage handle, and the operations that transfer no content.

use crate::error::Error;
use crate::key::{Key, OUTPUTS, Prefix, Target};
use crate::memory::Memory;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3;
use object_store::{ObjectStore, ObjectStoreExt};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Time limit of [`Storage::ready`].
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// A local directory or a bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) location: Arc<Location>,
    /// Signs URLs under the address of the bucket for clients; `None` in a directory.
    pub(crate) signer: Option<Arc<UrlSigner>>,
    pub(crate) memory: Memory,
}

/// Signs URLs for clients, which may reach the bucket under another address than this process.
#[derive(Debug)]
pub(crate) struct UrlSigner {
    pub(crate) store: Arc<AmazonS3>,
    /// The origin of the signed URLs (RFC 6454).
    pub(crate) origin: String,
}

/// The kind of the storage.
#[derive(Debug)]
pub(crate) enum Location {
    /// A local directory, with its absolute path.
    Directory(PathBuf),
    Bucket(Arc<AmazonS3>),
}

impl Storage {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, location: Location) -> Self {
        Self {
            store,
            location: Arc::new(location),
            signer: None,
            memory: Memory::new(),
        }
    }

    /// The length of an object in bytes; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the store does not respond.
    pub async fn head(&self, key: &Key) -> Result<Option<u64>, Error> {
        match self.store.head(&key.location()).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(Error::of_store("read", key.as_str(), source)),
        }
    }

    /// The number of objects with the prefix, counted up to `max`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the store does not respond.
    pub async fn count(&self, prefix: &Prefix, max: usize) -> Result<usize, Error> {
        let found = self.store.list(Some(&prefix.location())).take(max);
        let count = found.try_fold(0, async |count, _| Ok(count + 1)).await;
        count.map_err(|source| Error::of_store("list", prefix.as_str(), source))
    }

    /// The path of an object in a storage directory, where it can be opened without a copy; `None` for a bucket. The
    /// object need not exist.
    #[must_use]
    pub fn local_path(&self, key: &Key) -> Option<PathBuf> {
        self.local_root().map(|root| root.join(key.as_str()))
    }

    /// The storage directory; `None` for a bucket. If the scratch directory is on the same file system,
    /// [`Storage::put_file`] is a rename.
    #[must_use]
    pub fn local_root(&self) -> Option<&Path> {
        match self.location.as_ref() {
            Location::Directory(root) => Some(root),
            Location::Bucket(_) => None,
        }
    }

    /// Removes an object, and in a directory also what a killed process has written of it and the directories that are
    /// empty then. It is no error if it does not exist.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the store does not respond.
    pub async fn delete(&self, key: &Key) -> Result<(), Error> {
        if let Some(path) = self.local_path(key) {
            remove_unfinished(&path, key).await?;
        }
        match self.store.delete(&key.location()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(source) => return Err(Error::of_store("remove", key.as_str(), source)),
        }
        self.remove_empty_directories(key.as_str()).await;
        Ok(())
    }

    /// Removes an object or a set. It is no error if it does not exist.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the store does not respond.
    pub async fn remove(&self, target: &Target) -> Result<(), Error> {
        match target {
            Target::Object(key) => self.delete(key).await,
            Target::Set(prefix) => self.delete_prefix(prefix).await,
        }
    }

    /// Removes all objects with the prefix. It is no error if there are none.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the store does not respond. Some objects may have been removed then.
    pub async fn delete_prefix(&self, prefix: &Prefix) -> Result<(), Error> {
        if let Some(root) = self.local_root() {
            remove_directory(&root.join(prefix.as_str()), prefix).await?;
            self.remove_empty_directories(prefix.as_str()).await;
            return Ok(());
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

    /// Removes the directories above a removed output that are empty, up to that of its task. Other processes may write
    /// into them at the same time; [`Storage::put_file`] creates them again.
    ///
    /// Directories of sources and images stay, because they are few.
    async fn remove_empty_directories(&self, removed: &str) {
        let Some(root) = self.local_root() else { return };
        let (top, removed) = (root.join(OUTPUTS), root.join(removed));
        let above = removed.ancestors().skip(1);
        for directory in above.take_while(|directory| *directory != top && directory.starts_with(&top)) {
            match tokio::fs::remove_dir(directory).await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Not empty.
                Err(_) => return,
            }
        }
    }

    /// Checks that the store responds; returns within two seconds.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the directory or the bucket does not exist, refuses access or does not respond.
    pub async fn ready(&self) -> Result<(), Error> {
        let unavailable = |source| Error::Unavailable {
            doing: "reach",
            key: "/".to_owned(),
            source,
        };
        match tokio::time::timeout(READY_TIMEOUT, self.probe()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(unavailable(reason)),
            Err(elapsed) => Err(unavailable(elapsed.into())),
        }
    }

    /// Sends one request to the store.
    async fn probe(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if let Some(root) = self.local_root() {
            return Ok(tokio::fs::read_dir(root).await.map(drop)?);
        }
        // A list: the response to HEAD is the same for a missing object and for a missing bucket.
        let prefix = object_store::path::Path::from("ready");
        self.store.list(Some(&prefix)).try_next().await?;
        Ok(())
    }
}

/// Removes the unfinished files of an object. `object_store` writes to `{path}#{number}` and renames the file when it
/// is complete; the numbers are 1, 2 and so on.
async fn remove_unfinished(path: &Path, key: &Key) -> Result<(), Error> {
    for number in 1.. {
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(format!("#{number}"));
        match tokio::fs::remove_file(unfinished).await {
            Ok(()) => {}
            Err(source) if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => break,
            Err(source) => {
                return Err(Error::Unavailable {
                    doing: "remove",
                    key: key.to_string(),
                    source: source.into(),
                });
            }
        }
    }
    Ok(())
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
