//! A watched prefix of a bucket.

use super::file::{FolderFile, is_temporary};
use crate::error::Error;
use crate::open::{S3Credentials, open_bucket};
use crate::read::ByteStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};
use std::ffi::OsString;
use std::sync::Arc;
use url::Url;

#[derive(Clone, Debug)]
pub(super) struct BucketFolder {
    store: Arc<dyn ObjectStore>,
    bucket: String,
    prefix: Path,
}

impl BucketFolder {
    pub(super) fn open(mut url: Url, credentials: S3Credentials) -> Result<Self, Error> {
        let prefix = Path::from_url_path(url.path()).map_err(|reason| Error::InvalidUrl {
            url: url.to_string(),
            reason: reason.to_string(),
        })?;
        url.set_path("");
        Ok(Self {
            store: open_bucket(&url, credentials)?.store,
            bucket: url.host_str().unwrap_or_default().to_owned(),
            prefix,
        })
    }

    pub(super) fn source(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }

    fn path(&self, target: &str) -> Path {
        Path::from_iter(self.prefix.parts().chain(Path::from(target).parts()))
    }

    pub(super) async fn list(&self) -> Result<Vec<FolderFile>, Error> {
        let listed = self.store.list_with_delimiter(Some(&self.prefix)).await;
        let listed = listed.map_err(|source| Error::of_store("list", self.prefix.as_ref(), source))?;
        let files = listed.objects.into_iter().filter_map(|meta| {
            let name = meta.location.filename()?.to_owned();
            (!is_temporary(&name)).then(|| file(name, &meta))
        });
        Ok(files.collect())
    }

    pub(super) async fn read(&self, file: &FolderFile) -> Result<ByteStream, Error> {
        let options = GetOptions {
            if_match: Some(file.etag.clone()).filter(|etag| !etag.starts_with(BY_TIME)),
            ..GetOptions::default()
        };
        let key = file.key.clone();
        let got = self.store.get_opts(&self.path_of(file), options).await;
        let got = got.map_err(|source| Error::of_store("read", &key, source))?;
        let bytes = got.into_stream();
        Ok(bytes
            .map_err(move |source| Error::of_store("read", &key, source))
            .boxed())
    }

    /// The location of a file: its name is used as it is listed, without a second encoding.
    fn path_of(&self, file: &FolderFile) -> Path {
        let joined = match self.prefix.as_ref() {
            "" => file.key.clone(),
            prefix => format!("{prefix}/{}", file.key),
        };
        Path::parse(&joined).unwrap_or_else(|_| self.path(&file.key))
    }

    pub(super) async fn exists(&self, target: &str) -> Result<bool, Error> {
        Ok(self.head(&self.path(target)).await?.is_some())
    }

    async fn head(&self, path: &Path) -> Result<Option<ObjectMeta>, Error> {
        match self.store.head(path).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(Error::of_store("read", path.as_ref(), source)),
        }
    }

    pub(super) async fn write(&self, target: &str, content: Vec<u8>) -> Result<(), Error> {
        let path = self.path(target);
        let written = self.store.put(&path, content.into()).await;
        written
            .map(drop)
            .map_err(|source| Error::of_store("write", path.as_ref(), source))
    }

    pub(super) async fn move_to(&self, file: &FolderFile, target: &str) -> Result<bool, Error> {
        let (from, to) = (self.path_of(file), self.path(target));
        let Some(there) = self.head(&from).await? else {
            return Ok(true);
        };
        if !is_of(&there, file) {
            // Another file has its name now.
            return Ok(true);
        }
        match self.head(&to).await? {
            // A copy by a process that ended before it removed the first object. The etag of a copy may differ.
            Some(copied) if copied.size == file.bytes => {}
            Some(_) => return Ok(false),
            None => {
                let copied = self.store.copy(&from, &to).await;
                copied.map_err(|source| Error::of_store("write", to.as_ref(), source))?;
            }
        }
        match self.store.delete(&from).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(true),
            Err(source) => Err(Error::of_store("remove", from.as_ref(), source)),
        }
    }
}

/// Begins the etag of a file for which the list of the bucket has none.
const BY_TIME: &str = "modified-";

/// The time of an object in seconds, the precision that all replies have.
fn time_of(meta: &ObjectMeta) -> String {
    format!("{BY_TIME}{}", meta.last_modified.timestamp())
}

/// Returns `true` if an object is the file that was listed. Some buckets quote etags only in some replies.
fn is_of(meta: &ObjectMeta, file: &FolderFile) -> bool {
    let bare = |etag: &str| etag.trim_matches('"').to_owned();
    let has_etag = match &meta.e_tag {
        Some(etag) if !file.etag.starts_with(BY_TIME) => bare(etag) == bare(&file.etag),
        _ => time_of(meta) == file.etag,
    };
    has_etag && meta.size == file.bytes
}

fn file(name: String, meta: &ObjectMeta) -> FolderFile {
    FolderFile {
        key: name.clone(),
        name,
        etag: meta.e_tag.clone().unwrap_or_else(|| time_of(meta)),
        bytes: meta.size,
        modified_ms: meta.last_modified.timestamp_millis(),
        path: OsString::new(),
    }
}
