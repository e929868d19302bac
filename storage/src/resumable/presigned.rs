//! Files whose parts a client writes to the bucket itself, with signed URLs. The caller checks what was written.

use super::hash;
use super::position::{Multipart, Position, Progress, not_found};
use crate::error::Error;
use crate::key::Key;
use crate::storage::{Location, Storage};
use futures::TryStreamExt;
use object_store::signer::{Method, SignedUrlOptions, Signer};
use sha2::Digest;
use std::time::Duration;

/// Minimum size of a part. Parts that the service sends are smaller, because they are held in its memory.
const PART_BYTES: u64 = 16 << 20;
/// Maximum number of parts. The names of all parts fit into a small request then, and a part of the largest file below
/// the 5 GiB that S3 accepts.
const PARTS_MAX: u64 = 1_100;

impl Storage {
    /// Begins a file of `bytes` that a client will write to the bucket; `None` in a directory.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Unavailable`].
    pub async fn begin_presigned(&self, key: &Key, bytes: u64) -> Result<Option<Multipart>, Error> {
        let Location::Bucket(bucket) = self.location.as_ref() else {
            return Ok(None);
        };
        let part_bytes = bytes.div_ceil(PARTS_MAX).max(PART_BYTES);
        super::bucket::begin(bucket, key, part_bytes).await.map(Some)
    }

    /// A URL with which a part can be written (`PUT`) until `lifetime` is over or the file is complete. `number` counts
    /// from 1.
    ///
    /// # Errors
    /// [`Error::NotFound`] in a directory; [`Error::Unavailable`].
    pub async fn sign_part(
        &self,
        key: &Key,
        multipart_id: &str,
        number: u32,
        lifetime: Duration,
    ) -> Result<String, Error> {
        let signer = self.signer.as_ref().ok_or_else(|| not_found(key))?;
        let query = [
            ("partNumber", number.to_string()),
            ("uploadId", multipart_id.to_owned()),
        ];
        let (options, location) = (SignedUrlOptions::new().with_query(query), key.location());
        let signed = signer
            .store
            .signed_url_opts(Method::PUT, &location, lifetime, &options)
            .await;
        let signed = signed.map_err(|source| Error::of_store("sign", key.as_str(), source))?;
        Ok(signed.into())
    }

    /// Reads at most `max_bytes` of an object behind a position and returns the position after them, with the hash of
    /// all bytes before it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`].
    pub async fn hash_next(&self, position: &Position, max_bytes: u64) -> Result<Progress, Error> {
        let mut hash = hash::from_text(position.hash_state.as_deref(), &position.key)?;
        let mut bytes = position.bytes;
        let mut chunks = self.get_range(&position.key, bytes..bytes + max_bytes).await?;
        while let Some(chunk) = chunks.try_next().await? {
            hash.update(&chunk);
            bytes += chunk.len() as u64;
        }
        Ok(Progress {
            bytes,
            hash_state: hash::to_text(&hash),
            ..Progress::default()
        })
    }
}
