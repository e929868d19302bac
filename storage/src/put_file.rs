//! Moving a finished local file into the storage: a rename within one file system, otherwise an upload.

use crate::error::Error;
use crate::key::Key;
use crate::put::{ObjectWriter, Stored};
use crate::storage::Storage;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;
use tokio::io::AsyncReadExt;

/// Number of tries to store a file whose directory disappears: another process that removes the last other file of a
/// task also removes the empty directories ([`Storage::delete`]). Each further try needs another removal at the same
/// moment.
const DIRECTORY_TRIES: u32 = 100;
/// Size of the read buffer.
const READ_BYTES: usize = 256 << 10;

impl Storage {
    /// Moves a local file to `key` and replaces an object that exists there. The object is durable when this returns,
    /// and the local file is gone. Within the file system of a storage directory this is a rename, otherwise a copy.
    ///
    /// # Errors
    /// [`Error::LocalFile`] if the file cannot be read, [`Error::Full`], [`Error::Unavailable`]. The local file is kept
    /// then.
    pub async fn put_file(&self, key: &Key, local: &Path) -> Result<Stored, Error> {
        for _ in 1..DIRECTORY_TRIES {
            match self.try_put_file(key, local).await {
                Err(error) if self.local_root().is_some() && error.is_missing_directory() => {}
                done => return done,
            }
        }
        self.try_put_file(key, local).await
    }

    async fn try_put_file(&self, key: &Key, local: &Path) -> Result<Stored, Error> {
        if let Some(root) = self.local_root()
            && let Some(stored) = rename(key.clone(), local.to_owned(), root.to_owned()).await?
        {
            return Ok(stored);
        }
        let stored = self.upload_file(key, local).await?;
        if let Err(error) = tokio::fs::remove_file(local).await {
            tracing::warn!(path = %local.display(), %error, "failed to remove a local file after it was stored");
        }
        Ok(stored)
    }

    async fn upload_file(&self, key: &Key, local: &Path) -> Result<Stored, Error> {
        let failed = |source| Error::of_local_file(local, source);
        let mut file = tokio::fs::File::open(local).await.map_err(failed)?;
        let expected_bytes = file.metadata().await.map_err(failed)?.len();
        file.set_max_buf_size(READ_BYTES);
        let mut writer = ObjectWriter::start(self, key, expected_bytes);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let step = match file.read(&mut buffer).await {
                Ok(0) => return writer.finish().await,
                Ok(read) => writer.write(buffer.get(..read).unwrap_or_default()).await,
                Err(source) => Err(failed(source)),
            };
            if let Err(error) = step {
                writer.abort().await;
                return Err(error);
            }
        }
    }
}

/// Moves by rename. Returns `None` if source and target are on different file systems.
async fn rename(key: Key, local: PathBuf, root: PathBuf) -> Result<Option<Stored>, Error> {
    let path = local.clone();
    let renamed = tokio::task::spawn_blocking(move || {
        let stored = sync_and_hash(&local).map_err(|source| Error::of_local_file(&local, source))?;
        match move_into(&local, &root.join(key.as_str()), &root) {
            Ok(()) => Ok(Some(stored)),
            Err(source) if source.kind() == io::ErrorKind::CrossesDevices => Ok(None),
            Err(source) => Err(Error::of_object_io("write", &key, source)),
        }
    });
    renamed
        .await
        .unwrap_or_else(|panicked| Err(Error::of_local_file(&path, panicked.into())))
}

/// Syncs the file to disk on a second thread while it counts and hashes the bytes.
fn sync_and_hash(local: &Path) -> io::Result<Stored> {
    let file = &File::open(local)?;
    thread::scope(|scope| {
        let sync = thread::Builder::new().spawn_scoped(scope, || file.sync_all())?;
        let hashed = hash(file);
        sync.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        hashed
    })
}

fn hash(mut file: &File) -> io::Result<Stored> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
            break;
        };
        hash.update(chunk);
        bytes += chunk.len() as u64;
    }
    Ok(Stored {
        bytes,
        sha256: hex::encode(hash.finalize()),
    })
}

/// Renames the file and syncs the directories of the new path, so that the rename survives a power failure.
fn move_into(local: &Path, target: &Path, root: &Path) -> io::Result<()> {
    std::fs::create_dir_all(target.parent().unwrap_or(root))?;
    std::fs::rename(local, target)?;
    // The parent directories may be new as well.
    let parents = target
        .ancestors()
        .skip(1)
        .take_while(|directory| directory.starts_with(root));
    parents.map(File::open).try_for_each(|directory| directory?.sync_all())
}
