//! Opening a storage from its URL.

use crate::error::Error;
use crate::storage::{Location, Storage, UrlSigner};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// The access key that signs requests to a bucket.
#[derive(Clone)]
pub struct S3Credentials {
    /// The public part.
    pub access_key_id: String,
    /// The secret part; excluded from `Debug`.
    pub secret_access_key: String,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

impl Storage {
    /// Opens `file:///abs/dir`, which is created if it does not exist, or
    /// `s3://bucket?endpoint=…&region=…&public_endpoint=…`. No request is sent to a bucket; [`Storage::ready`] does
    /// that. `public_endpoint` is the address of the bucket in signed URLs, if clients reach it by another one.
    ///
    /// In a directory, unfinished uploads of killed processes are removed in the background when they are a day old. A
    /// bucket needs a lifecycle rule for that.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] for any other URL, and for a bucket without credentials; [`Error::LocalFile`] if the
    /// directory cannot be created.
    pub async fn open(url: &str, credentials: Option<S3Credentials>) -> Result<Self, Error> {
        let parsed = Url::parse(url).map_err(|reason| bad_url(url, &reason.to_string()))?;
        match parsed.scheme() {
            "file" => {
                // `Url` turns `file:relative` into an absolute path.
                if !url.starts_with("file:///") {
                    return Err(bad_url(url, "the path is not absolute"));
                }
                let root = parsed
                    .to_file_path()
                    .map_err(|()| bad_url(url, "the path is not absolute"))?;
                open_directory(root).await
            }
            "s3" => {
                let credentials = credentials.ok_or_else(|| bad_url(url, "a bucket needs an access key"))?;
                open_bucket(&parsed, credentials)
            }
            other => Err(bad_url(url, &format!("unknown scheme `{other}`"))),
        }
    }
}

async fn open_directory(root: PathBuf) -> Result<Storage, Error> {
    let created = async {
        tokio::fs::create_dir_all(&root).await?;
        tokio::fs::canonicalize(&root).await
    };
    let root = created.await.map_err(|source| Error::of_local_file(&root, source))?;
    let store = LocalFileSystem::new_with_prefix(&root)
        .map_err(|source| Error::of_store("reach", &root.display().to_string(), source))?
        .with_fsync(true);
    Ok(Storage::new(Arc::new(store), Location::Directory(root)))
}

/// The parameters of the URL of a bucket.
struct BucketAddress {
    endpoint: Option<String>,
    region: String,
    public_endpoint: Option<String>,
}

impl BucketAddress {
    fn parse(url: &Url) -> Result<Self, Error> {
        let mut address = Self {
            endpoint: None,
            region: "us-east-1".to_owned(),
            public_endpoint: None,
        };
        let endpoint = |value: &str| Some(value.trim_end_matches('/').to_owned());
        let has_password =
            |value: &str| Url::parse(value).is_ok_and(|url| !url.username().is_empty() || url.password().is_some());
        if url.query_pairs().any(|(_, value)| has_password(&value)) {
            return Err(bad_url(
                url.as_str(),
                "an endpoint has no user name and password; set the access key instead",
            ));
        }
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "endpoint" => address.endpoint = endpoint(&value),
                "region" => address.region = value.into_owned(),
                "public_endpoint" => address.public_endpoint = endpoint(&value),
                other => return Err(bad_url(url.as_str(), &format!("unknown parameter `{other}`"))),
            }
        }
        Ok(address)
    }

    /// The origin of signed URLs. Without an endpoint, `object_store` uses that of Amazon in the region.
    fn signed_origin(&self) -> Result<String, url::ParseError> {
        let amazon = format!("https://s3.{}.amazonaws.com", self.region);
        let address = self.public_endpoint.as_ref().or(self.endpoint.as_ref());
        Ok(Url::parse(address.unwrap_or(&amazon))?.origin().ascii_serialization())
    }
}

pub(crate) fn open_bucket(url: &Url, credentials: S3Credentials) -> Result<Storage, Error> {
    let refuse = |reason: &str| bad_url(url.as_str(), reason);
    let bucket = url
        .host_str()
        .filter(|bucket| !bucket.is_empty())
        .ok_or_else(|| refuse("the bucket name is missing"))?;
    if !matches!(url.path(), "" | "/") {
        return Err(refuse("a path inside the bucket is not supported"));
    }
    let address = BucketAddress::parse(url)?;
    let builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_access_key_id(credentials.access_key_id)
        .with_secret_access_key(credentials.secret_access_key)
        .with_virtual_hosted_style_request(false)
        .with_region(&address.region)
        .with_retry(retry());
    let build = |endpoint: Option<&String>| {
        let plain_http = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
        let builder = builder.clone().with_client_options(client(plain_http));
        let builder = match endpoint {
            Some(endpoint) => builder.with_endpoint(endpoint),
            None => builder,
        };
        builder
            .build()
            .map(Arc::new)
            .map_err(|reason| refuse(&reason.to_string()))
    };
    let store = build(address.endpoint.as_ref())?;
    let signer = UrlSigner {
        store: match &address.public_endpoint {
            None => store.clone(),
            endpoint => build(endpoint.as_ref())?,
        },
        origin: address.signed_origin().map_err(|reason| refuse(&reason.to_string()))?,
    };
    Ok(Storage {
        signer: Some(Arc::new(signer)),
        ..Storage::new(store.clone(), Location::Bucket(store))
    })
}

/// Timeouts for connecting and between two reads. A whole request has none, because a download lasts as long as a slow
/// client takes.
fn client(plain_http: bool) -> ClientOptions {
    ClientOptions::new()
        .with_timeout_disabled()
        .with_connect_timeout(Duration::from_secs(5))
        .with_read_timeout(Duration::from_secs(60))
        .with_allow_http(plain_http)
}

/// Retries of failed requests: four within 30 s.
pub(crate) fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(3),
            base: 2.0,
        },
        max_retries: 4,
        retry_timeout: Duration::from_secs(30),
    }
}

/// The error of a URL. Its parameters are left out, because an endpoint could contain a password.
pub(crate) fn bad_url(url: &str, reason: &str) -> Error {
    Error::InvalidUrl {
        url: url.split('?').next().unwrap_or_default().to_owned(),
        reason: reason.to_owned(),
    }
}
