//! A watched folder: a directory, or a prefix of a bucket, into which others put files. It is not the storage of the
//! service. Files are listed, read, and moved to a folder below it.
//!
//! Only regular files directly in the folder count. Symbolic links, directories and devices are left alone, and so are
//! names that programs give to files that they still write ([`file::is_temporary`]).
//!
//! *A file* is identified by its key, etag and length. The etag of a bucket is that of the object; in a directory it is
//! made of inode, modification time and creation time. A file that changes while it is read fails at its end.
//!
//! *A move* does not replace another file. In a directory it is a hard link and the removal of the first name, so that
//! a crash between the two leaves two names of one file, which the next move finishes. In a bucket it is a copy and the
//! removal of the first object. An object that is too large to be copied in one request is copied in parts.

mod bucket;
mod directory;
mod file;

pub use file::{DONE, FAILED, FolderFile};

use crate::error::Error;
use crate::open::{S3Credentials, bad_url};
use crate::read::ByteStream;
use bucket::BucketFolder;
use directory::DirectoryFolder;
use std::path::Path;
use url::Url;

/// A watched folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Folder {
    source: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Directory(DirectoryFolder),
    Bucket(BucketFolder),
}

impl Folder {
    /// Opens a directory, also as `file:///directory`, or `s3://bucket/prefix?endpoint=…&region=…`. In a directory, the
    /// folders for files that are done or failed are created.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`]; [`Error::LocalFile`] if the directory does not exist or cannot be written to, or if a
    /// link or a file has the name of one of these folders.
    pub fn open(location: &str, credentials: Option<S3Credentials>) -> Result<Self, Error> {
        if !location.starts_with("s3://") {
            let path = location.strip_prefix("file://").unwrap_or(location);
            let directory = DirectoryFolder::open(path.as_ref())?;
            return Ok(Self {
                source: directory.source(),
                kind: Kind::Directory(directory),
            });
        }
        let url = Url::parse(location).map_err(|reason| bad_url(location, &reason.to_string()))?;
        let credentials = credentials.ok_or_else(|| bad_url(location, "a bucket needs an access key"))?;
        let bucket = BucketFolder::open(url, credentials)?;
        Ok(Self {
            source: bucket.source(),
            kind: Kind::Bucket(bucket),
        })
    }

    /// The directory; `None` for a bucket.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Directory(directory) => Some(directory.root()),
            Kind::Bucket(_) => None,
        }
    }

    /// The folder as text: an absolute directory, or bucket, prefix and endpoint.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The files of the folder.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::LocalFile`] if the folder cannot be read.
    pub async fn list(&self) -> Result<Vec<FolderFile>, Error> {
        match &self.kind {
            Kind::Directory(directory) => directory.list().await,
            Kind::Bucket(bucket) => bucket.list().await,
        }
    }

    /// The bytes of a file. The stream fails if the file is not the one that was listed, also if it changes while it is
    /// read.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such file now; others as [`Folder::list`], also as an item of the stream.
    pub async fn read(&self, file: &FolderFile) -> Result<ByteStream, Error> {
        match &self.kind {
            Kind::Directory(directory) => directory.read(file).await,
            Kind::Bucket(bucket) => bucket.read(file).await,
        }
    }

    /// Returns `true` if a file is still there as it was listed.
    ///
    /// # Errors
    /// As [`Folder::list`].
    pub async fn has(&self, file: &FolderFile) -> Result<bool, Error> {
        match &self.kind {
            Kind::Directory(directory) => directory.has(file).await,
            Kind::Bucket(bucket) => bucket.has(file).await,
        }
    }

    /// Returns `true` if something has this path below the folder.
    ///
    /// # Errors
    /// As [`Folder::list`].
    pub async fn exists(&self, target: &str) -> Result<bool, Error> {
        match &self.kind {
            Kind::Directory(directory) => directory.exists(target).await,
            Kind::Bucket(bucket) => bucket.exists(target).await,
        }
    }

    /// Writes a small file at a path below the folder, also over an earlier one.
    ///
    /// # Errors
    /// As [`Folder::list`]; [`Error::Full`].
    pub async fn write(&self, target: &str, content: Vec<u8>) -> Result<(), Error> {
        match &self.kind {
            Kind::Directory(directory) => directory.write(target, content).await,
            Kind::Bucket(bucket) => bucket.write(target, content).await,
        }
    }

    /// Moves a file to a path below the folder. Returns `false` if another file is there. A file that is not there any
    /// more was moved before.
    ///
    /// # Errors
    /// As [`Folder::list`].
    pub async fn move_to(&self, file: &FolderFile, target: &str) -> Result<bool, Error> {
        match &self.kind {
            Kind::Directory(directory) => directory.move_to(file, target).await,
            Kind::Bucket(bucket) => bucket.move_to(file, target).await,
        }
    }
}
