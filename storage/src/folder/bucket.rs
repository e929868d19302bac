//! A watched prefix of a bucket.

use super::file::{FolderFile, is_temporary};
use crate::error::Error;
use crate::open::{S3Credentials, open_bucket};
use crate::read::ByteStream;
use crate::upload::Upload;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};
use std::ffi::OsString;
use std::sync::Arc;
use url::Url;

/// The largest object that S3 copies in one request.
const COPY_BYTES_MAX: u64 = 5 << 30;
/// Minimum size of a part of a larger copy. Three parts are in memory at once.
const PART_BYTES_MIN: u64 = 16 << 20;
/// The maximum number of parts in S3.
const PARTS_MAX: u64 = 10_000;

#[derive(Clone, Debug)]
pub(super) struct BucketFolder {
    store: Arc<dyn ObjectStore>,
    source: String,
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
            source: source(&url, &prefix),
            prefix,
        })
    }

    pub(super) fn source(&self) -> String {
        self.source.clone()
    }

    /// The location of a path below the prefix. Names are used as they are listed: [`Path::from`] would encode some
    /// characters.
    fn location(&self, below: &str) -> Result<Path, Error> {
        let joined = match self.prefix.as_ref() {
            "" => below.to_owned(),
            prefix => format!("{prefix}/{below}"),
        };
        Path::parse(&joined).map_err(|reason| Error::of_store("reach", &joined, reason.into()))
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
        let got = self.store.get_opts(&self.location(&key)?, options).await;
        let got = got.map_err(|source| Error::of_store("read", &key, source))?;
        let bytes = got.into_stream();
        Ok(bytes
            .map_err(move |source| Error::of_store("read", &key, source))
            .boxed())
    }

    pub(super) async fn has(&self, file: &FolderFile) -> Result<bool, Error> {
        let there = self.head(&self.location(&file.key)?).await?;
        Ok(there.is_some_and(|there| is_of(&there, file)))
    }

    pub(super) async fn exists(&self, target: &str) -> Result<bool, Error> {
        Ok(self.head(&self.location(target)?).await?.is_some())
    }

    async fn head(&self, path: &Path) -> Result<Option<ObjectMeta>, Error> {
        match self.store.head(path).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(Error::of_store("read", path.as_ref(), source)),
        }
    }

    pub(super) async fn write(&self, target: &str, content: Vec<u8>) -> Result<(), Error> {
        let path = self.location(target)?;
        let written = self.store.put(&path, content.into()).await;
        written
            .map(drop)
            .map_err(|source| Error::of_store("write", path.as_ref(), source))
    }

    pub(super) async fn move_to(&self, file: &FolderFile, target: &str) -> Result<bool, Error> {
        let (from, to) = (self.location(&file.key)?, self.location(target)?);
        let Some(there) = self.head(&from).await? else {
            return Ok(true);
        };
        if !is_of(&there, file) {
            // Another file has its name now.
            return Ok(true);
        }
        match self.head(&to).await? {
            // A copy by a process that ended before it removed the first object.
            Some(copied) if is_copy(&copied, &there) => {}
            Some(_) => return Ok(false),
            None if there.size > COPY_BYTES_MAX => self.copy_in_parts(file, to).await?,
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

    /// Copies an object that is too large for one request. If this fails or is dropped, the parts are removed.
    async fn copy_in_parts(&self, file: &FolderFile, to: Path) -> Result<(), Error> {
        let part = file.bytes.div_ceil(PARTS_MAX).max(PART_BYTES_MIN);
        let part = usize::try_from(part).expect("a part fits into memory");
        let (mut incoming, mut copied) = (self.read(file).await?, 0);
        let mut upload = Upload::start(self.store.clone(), to, part);
        while let Some(chunk) = incoming.try_next().await? {
            copied += chunk.len() as u64;
            upload.block(chunk).await?;
        }
        if copied != file.bytes {
            upload.abort().await;
            return Err(Error::Unavailable {
                doing: "read",
                key: file.key.clone(),
                source: "the object has another length than before".into(),
            });
        }
        upload.finish(Bytes::new()).await
    }
}

/// A prefix of a bucket as text. Servers at different endpoints may have buckets of the same name.
fn source(bucket: &Url, prefix: &Path) -> String {
    let name = bucket.host_str().unwrap_or_default();
    let endpoint = bucket.query_pairs().find(|(name, _)| name == "endpoint");
    let endpoint = endpoint.map(|(_, endpoint)| Url::parse(&endpoint).map_or(endpoint.into_owned(), String::from));
    match endpoint {
        Some(endpoint) => format!("s3://{name}/{prefix}?endpoint={}", endpoint.trim_end_matches('/')),
        None => format!("s3://{name}/{prefix}"),
    }
}

/// Begins the etag of a file for which the list of the bucket has none.
const BY_TIME: &str = "modified-";

/// The time of an object in seconds, the precision that all replies have.
fn time_of(meta: &ObjectMeta) -> String {
    format!("{BY_TIME}{}", meta.last_modified.timestamp())
}

/// An etag without quotes, which some buckets have only in some replies.
fn bare(etag: &str) -> &str {
    etag.trim_matches('"')
}

/// Returns `true` if an object may be a copy of another one. The etag of an object that was written in parts, which has
/// a hyphen, depends on the parts; a copy may have another one.
fn is_copy(copied: &ObjectMeta, of: &ObjectMeta) -> bool {
    let whole = |meta: &ObjectMeta| meta.e_tag.clone().filter(|etag| !etag.contains('-'));
    let has_etag = match (whole(copied), whole(of)) {
        (Some(one), Some(other)) => bare(&one) == bare(&other),
        _ => true,
    };
    has_etag && copied.size == of.size
}

/// Returns `true` if an object is the file that was listed.
fn is_of(meta: &ObjectMeta, file: &FolderFile) -> bool {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic fails the test")]

    use super::*;
    use object_store::memory::InMemory;

    fn folder() -> BucketFolder {
        BucketFolder {
            store: Arc::new(InMemory::new()),
            source: String::new(),
            prefix: Path::from("in"),
        }
    }

    #[tokio::test]
    async fn a_large_object_is_copied_in_parts_and_leaves_nothing_if_it_was_cut() {
        let folder = folder();
        let content: Vec<u8> = (0..(PART_BYTES_MIN * 5 / 2)).map(|at| (at % 251) as u8).collect();
        folder.write("clip.mp4", content.clone()).await.unwrap();
        let mut file = folder.list().await.unwrap().remove(0);
        let target = folder.location("done/clip.mp4").unwrap();
        folder.copy_in_parts(&file, target.clone()).await.unwrap();
        let copied = folder.store.get(&target).await.unwrap().bytes().await.unwrap();
        assert!(copied == content, "{} bytes", copied.len());
        file.bytes += 1;
        let target = folder.location("done/other.mp4").unwrap();
        folder.copy_in_parts(&file, target).await.unwrap_err();
        assert!(!folder.exists("done/other.mp4").await.unwrap());
    }

    #[test]
    fn buckets_of_one_name_at_different_endpoints_are_different_folders() {
        let of = |query: &str| {
            let url = Url::parse(&format!("s3://bucket{query}")).unwrap();
            source(&url, &Path::from("in box"))
        };
        let amazon = of("");
        let (one, other) = (of("?endpoint=http://a:9000"), of("?region=x&endpoint=http://b:9000"));
        assert_eq!(amazon, "s3://bucket/in box");
        assert_eq!(one, "s3://bucket/in box?endpoint=http://a:9000");
        assert_ne!(one, other);
        assert_eq!(one, of("?endpoint=http://A:9000/&region=y"));
    }
}
