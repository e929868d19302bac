//! Taking over a finished local file as an object: a rename where that is possible, else an upload.

use crate::error::Error;
use crate::key::Key;
use crate::put::{Feed, Stored};
use crate::storage::Storage;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;
use tokio::io::AsyncReadExt;

const READ_BYTES: usize = 256 << 10;

impl Storage {
    /// Makes a local file the object at `key`, durable when this returns; an object already there is
    /// replaced. The file is gone from its old place afterwards. In a directory on the same
    /// filesystem this is a rename, otherwise the file is copied.
    ///
    /// # Errors
    /// [`Error::LocalFile`] when the file cannot be read, [`Error::Full`], [`Error::Unavailable`];
    /// the file then is still where it was.
    pub async fn adopt(&self, key: &Key, local: &Path) -> Result<Stored, Error> {
        if let Some(root) = self.local_root()
            && let Some(stored) = rename(key.clone(), local.to_owned(), root.to_owned()).await?
        {
            return Ok(stored);
        }
        let stored = self.upload_file(key, local).await?;
        if let Err(error) = tokio::fs::remove_file(local).await {
            tracing::warn!(path = %local.display(), %error, "a file stays behind after it was stored");
        }
        Ok(stored)
    }

    async fn upload_file(&self, key: &Key, local: &Path) -> Result<Stored, Error> {
        let failed = |source| Error::of_local_file(local, source);
        let mut file = tokio::fs::File::open(local).await.map_err(failed)?;
        let expected_bytes = file.metadata().await.map_err(failed)?.len();
        file.set_max_buf_size(READ_BYTES);
        let mut feed = Feed::start(self, key, expected_bytes);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let step = match file.read(&mut buffer).await {
                Ok(0) => return feed.finish().await,
                Ok(read) => feed.take(buffer.get(..read).unwrap_or_default()).await,
                Err(source) => Err(failed(source)),
            };
            if let Err(error) = step {
                feed.abort().await;
                return Err(error);
            }
        }
    }
}

/// `None` when the two places are not on one filesystem.
async fn rename(key: Key, local: PathBuf, root: PathBuf) -> Result<Option<Stored>, Error> {
    let path = local.clone();
    let moved = tokio::task::spawn_blocking(move || {
        let stored = settle(&local).map_err(|source| Error::of_local_file(&local, source))?;
        match move_into(&local, &root.join(key.as_str()), &root) {
            Ok(()) => Ok(Some(stored)),
            Err(source) if source.kind() == io::ErrorKind::CrossesDevices => Ok(None),
            Err(source) => Err(Error::of_object_io("write", &key, source)),
        }
    });
    moved
        .await
        .unwrap_or_else(|died| Err(Error::of_local_file(&path, died.into())))
}

/// Brings the file to disk, and meanwhile counts and hashes it.
fn settle(local: &Path) -> io::Result<Stored> {
    let file = &File::open(local)?;
    thread::scope(|scope| {
        let synced = thread::Builder::new().spawn_scoped(scope, || file.sync_all())?;
        let hashed = hash(file);
        synced.join().unwrap_or_else(|panic| resume_unwind(panic))?;
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

fn move_into(local: &Path, target: &Path, root: &Path) -> io::Result<()> {
    std::fs::create_dir_all(target.parent().unwrap_or(root))?;
    std::fs::rename(local, target)?;
    // The directories above may be new as well.
    let above = target
        .ancestors()
        .skip(1)
        .take_while(|directory| directory.starts_with(root));
    above.map(File::open).try_for_each(|directory| directory?.sync_all())
}
