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
            if_match: Some(file.etag.clone()),
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
        if there.e_tag.as_deref() != Some(file.etag.as_str()) {
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

fn file(name: String, meta: &ObjectMeta) -> FolderFile {
    FolderFile {
        key: name.clone(),
        name,
        etag: meta.e_tag.clone().unwrap_or_default(),
        bytes: meta.size,
        modified_ms: meta.last_modified.timestamp_millis(),
        path: OsString::new(),
    }
}
