//! URLs with which clients read objects from the bucket itself.

use crate::error::Error;
use crate::key::Key;
use crate::storage::Storage;
use object_store::signer::{Method, SignedUrlOptions, Signer};
use std::time::Duration;

/// Maximum validity of a signature (Amazon S3 API reference, "Authenticating Requests: Using Query Parameters").
const LIFETIME_MAX: Duration = Duration::from_secs(7 * 86_400);

impl Storage {
    /// A URL with which an object can be read (`GET`) for `lifetime`; `None` in a directory. The bucket replies with
    /// `headers`, which are pairs of a lower-case name and a value. S3 supports the names `content-type`,
    /// `content-disposition` and `cache-control`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the URL cannot be signed.
    pub async fn sign_read(
        &self,
        key: &Key,
        headers: &[(&str, &str)],
        lifetime: Duration,
    ) -> Result<Option<String>, Error> {
        let Some(signer) = &self.signer else { return Ok(None) };
        let query = headers
            .iter()
            .map(|(name, value)| (format!("response-{name}"), (*value).to_owned()));
        let options = SignedUrlOptions::new().with_query(query);
        let lifetime = lifetime.clamp(Duration::from_secs(1), LIFETIME_MAX);
        let signed = signer
            .store
            .signed_url_opts(Method::GET, &key.location(), lifetime, &options)
            .await;
        let signed = signed.map_err(|source| Error::of_store("sign", key.as_str(), source))?;
        Ok(Some(signed.into()))
    }

    /// The origin of signed URLs, such as `https://s3.example.com`; `None` in a directory.
    #[must_use]
    pub fn signed_origin(&self) -> Option<&str> {
        self.signer.as_deref().map(|signer| signer.origin.as_str())
    }
}
