//! A watched directory.

use super::file::{DONE, FAILED, FolderFile, is_temporary};
use crate::error::Error;
use crate::read::ByteStream;
use bytes::Bytes;
use futures::{StreamExt, stream};
use nix::fcntl::OFlag;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

/// Size of the read buffer.
const READ_BYTES: usize = 256 << 10;

#[derive(Clone, Debug)]
pub(super) struct DirectoryFolder {
    root: PathBuf,
}

impl DirectoryFolder {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let opened = fs::canonicalize(path).and_then(|root| ensure_below(&root).map(|()| root));
        let root = opened.map_err(|source| Error::of_local_file(path, source))?;
        Ok(Self { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn source(&self) -> String {
        as_text(self.root.as_os_str())
    }

    pub(super) async fn list(&self) -> Result<Vec<FolderFile>, Error> {
        let root = self.root.clone();
        blocking(&self.root, move || {
            let mut files = Vec::new();
            for entry in fs::read_dir(&root)? {
                let name = entry?.file_name();
                let lossy = name.to_string_lossy().into_owned();
                // Not followed: a link is no regular file.
                let meta = match fs::symlink_metadata(root.join(&name)) {
                    Ok(meta) => meta,
                    // It has vanished since.
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    // The file may be there: the list would be wrong without it.
                    Err(error) => return Err(io::Error::new(error.kind(), format!("{lossy}: {error}"))),
                };
                if meta.is_file() && !is_temporary(&lossy) {
                    files.push(file(name, lossy, &meta));
                }
            }
            Ok(files)
        })
        .await
    }

    pub(super) async fn read(&self, file: &FolderFile) -> Result<ByteStream, Error> {
        let (path, key) = (self.root.join(&file.path), file.key.clone());
        let failed = move |source| Error::of_local_file(Path::new(&key), source);
        let opened = open_regular(&path).await.map_err(&failed)?;
        // The name may be that of a link or of another file by now.
        check(&opened, file).await.map_err(&failed)?;
        let begin = Some((opened, file.clone()));
        Ok(stream::try_unfold(begin, |state| async {
            let Some((mut opened, file)) = state else {
                return Ok(None);
            };
            let mut buffer = Vec::with_capacity(READ_BYTES);
            let failed = |source| Error::of_local_file(Path::new(&file.key), source);
            let mut part = (&mut opened).take(READ_BYTES as u64);
            let read = part.read_to_end(&mut buffer).await.map_err(failed)?;
            if read < READ_BYTES {
                check(&opened, &file).await.map_err(failed)?;
                return Ok((read > 0).then(|| (Bytes::from(buffer), None)));
            }
            Ok(Some((Bytes::from(buffer), Some((opened, file)))))
        })
        .boxed())
    }

    pub(super) async fn has(&self, file: &FolderFile) -> Result<bool, Error> {
        let (path, file) = (self.root.join(&file.path), file.clone());
        blocking(&self.root, move || is_there(&path, &file)).await
    }

    pub(super) async fn exists(&self, target: &str) -> Result<bool, Error> {
        let path = self.root.join(target);
        blocking(&self.root, move || match fs::symlink_metadata(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        })
        .await
    }

    pub(super) async fn write(&self, target: &str, content: Vec<u8>) -> Result<(), Error> {
        let (root, path) = (self.root.clone(), self.root.join(target));
        blocking(&self.root, move || {
            ensure_below(&root)?;
            // Written beside it and renamed, so that a reader never sees a part. A link at this path is replaced.
            let mut unfinished = path.clone().into_os_string();
            unfinished.push(".tmp");
            match fs::remove_file(&unfinished) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            // A link that is put there now is not followed.
            let mut file = OpenOptions::new().write(true).create_new(true).open(&unfinished)?;
            // The umask of the process is narrow, and others shall read it.
            file.set_permissions(Permissions::from_mode(0o644))?;
            file.write_all(&content)?;
            fs::rename(&unfinished, &path)
        })
        .await
    }

    pub(super) async fn move_to(&self, file: &FolderFile, target: &str) -> Result<bool, Error> {
        let (root, file) = (self.root.clone(), file.clone());
        let (from, to) = (root.join(&file.path), root.join(target));
        blocking(&self.root, move || {
            ensure_below(&root)?;
            if !is_there(&from, &file)? {
                // Moved before, or another file has its name now.
                return Ok(true);
            }
            match fs::hard_link(&from, &to) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    let there = fs::symlink_metadata(&to)?;
                    if etag(&there) != file.etag {
                        return Ok(false);
                    }
                }
                Err(error) if error.kind() == ErrorKind::NotFound => return Err(error),
                // A file system without hard links.
                Err(_) if to.try_exists()? => return Ok(false),
                Err(_) => return fs::rename(&from, &to).map(|()| true),
            }
            fs::remove_file(&from).map(|()| true)
        })
        .await
    }
}

/// Opens a file. A pipe that has its name by now would block, and a link would lead to another file.
async fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
    let mut options = tokio::fs::OpenOptions::new();
    options.read(true).custom_flags(flags.bits()).open(path).await
}

/// Creates the folders to which files are moved, unless they are there. A link in place of one would have files moved
/// to a directory of the choice of those who may write to the folder.
fn ensure_below(root: &Path) -> io::Result<()> {
    for name in [DONE, FAILED] {
        let below = root.join(name);
        let is_new = match fs::create_dir(&below) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        if !fs::symlink_metadata(&below)?.is_dir() {
            return Err(io::Error::other(format!(
                "`{name}` is a link or a file, not a directory"
            )));
        }
        if is_new {
            // The umask of the process is narrow, and others shall read what they have put here.
            let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
            let opened = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&below)?;
            opened.set_permissions(fs::metadata(root)?.permissions())?;
        }
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    root: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::other);
    done.flatten().map_err(|source| Error::of_local_file(root, source))
}

fn file(name: OsString, lossy: String, meta: &Metadata) -> FolderFile {
    FolderFile {
        key: as_text(&name),
        name: lossy,
        etag: etag(meta),
        bytes: meta.len(),
        modified_ms: meta.mtime().saturating_mul(1_000) + meta.mtime_nsec() / 1_000_000,
        path: name,
    }
}

/// Returns `true` if a path is that of a file that was listed, and not of another one by now.
fn is_there(path: &Path, file: &FolderFile) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(etag(&meta) == file.etag && meta.len() == file.bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Inode, time of modification, and time of creation, where the file system has it: the number of an inode is used
/// again, and some recorders set the same time for each file.
fn etag(meta: &Metadata) -> String {
    let created = meta.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let created = created.unwrap_or_default().as_nanos();
    format!(
        "{:x}-{:x}-{:x}-{created:x}",
        meta.ino(),
        meta.mtime(),
        meta.mtime_nsec()
    )
}

/// Checks that an open file is the one that was listed, and has not changed since.
async fn check(opened: &File, file: &FolderFile) -> io::Result<()> {
    let meta = opened.metadata().await?;
    if meta.is_file() && etag(&meta) == file.etag && meta.len() == file.bytes {
        return Ok(());
    }
    Err(io::Error::other("the file has changed"))
}

/// A path as text: itself if it is UTF-8, else its bytes in hexadecimal.
fn as_text(name: &OsStr) -> String {
    name.to_str()
        .map_or_else(|| format!("bytes:{}", hex::encode(name.as_bytes())), ToOwned::to_owned)
}
