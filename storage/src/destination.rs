//! Writing files to a bucket of a customer, and reading them again.
//!
//! *Problem.* The endpoint of the bucket is an address that a user gives, and the server there may be hostile, wrong or
//! broken. An S3 client of its own would do lookups of its own, and its reply to a write proves little: servers differ
//! in the checksums that they know.
//!
//! *Mechanism.* `object_store` builds and signs the requests. [`connector`] sends them with the client of the crate
//! `outbound`, which reaches permitted addresses alone and follows no redirect. After a file was written, all of its
//! bytes are read again and their SHA-256 is compared with that of the file. This works with each server, and finds
//! what a server has cut, mixed up or not kept.
//!
//! *Invariants.* An object appears as a whole or not at all (`PutObject`, `CompleteMultipartUpload`). The same file
//! under the same key can be written again, which replaces the object by the same bytes. What a killed process has left
//! is an unfinished multipart upload, which no reader sees, and which a lifecycle rule of the bucket removes.

mod connector;
mod error;

pub use error::DestinationError;

use crate::open::S3Credentials;
use crate::put::Stored;
use bytes::Bytes;
use connector::{Connector, LastReply, PART_BYTES, logged};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as ObjectPath;
use object_store::{
    Attribute, Attributes, ClientOptions, MultipartUpload, ObjectStore, ObjectStoreExt, PutMultipartOptions,
    PutOptions, PutPayload,
};
use outbound::Client;
use sha2::{Digest, Sha256};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

/// Maximum number of parts; S3 accepts 10,000.
const PARTS_MAX: u64 = 9_000;

/// The address of a bucket.
#[derive(Clone, Debug)]
pub struct BucketAddress {
    /// `http` or `https`, a host and a port.
    pub endpoint: String,
    /// The region in signatures.
    pub region: String,
    /// The name of the bucket.
    pub bucket: String,
}

/// A bucket of a customer.
#[derive(Clone)]
pub struct Destination {
    /// The address, and the keys. Each file has a client of its own, which knows the reason of its errors.
    builder: AmazonS3Builder,
    client: Client,
}

/// A file for the destination.
#[derive(Clone, Copy, Debug)]
pub struct DestinationFile<'a> {
    /// The key in the bucket.
    pub key: &'a str,
    /// The file on this machine.
    pub local: &'a Path,
    /// The media type that the bucket shall send with it.
    pub media_type: &'a str,
}

impl Destination {
    /// A bucket, without a request to it.
    #[must_use]
    pub fn new(address: BucketAddress, credentials: S3Credentials, client: Client) -> Self {
        let options = ClientOptions::new().with_allow_http(true);
        let builder = AmazonS3Builder::new()
            .with_endpoint(address.endpoint.trim_end_matches('/'))
            .with_region(address.region)
            .with_bucket_name(address.bucket)
            .with_access_key_id(credentials.access_key_id)
            .with_secret_access_key(credentials.secret_access_key)
            .with_virtual_hosted_style_request(false)
            .with_client_options(options)
            .with_retry(crate::open::retry());
        Self { builder, client }
    }

    /// Writes a file, or replaces it, and reads it again.
    ///
    /// # Errors
    /// Any [`DestinationError`].
    pub async fn write(&self, file: DestinationFile<'_>) -> Result<Stored, DestinationError> {
        let last = Arc::new(LastReply::default());
        let connector = Connector::new(self.client.clone(), Arc::clone(&last));
        let builder = self.builder.clone().with_http_connector(connector);
        let store = builder.build().map_err(|error| last.explain(&error))?;
        let path =
            ObjectPath::parse(file.key).map_err(|_| DestinationError::Refused("the key is invalid".to_owned()))?;
        let written = write(&store, &path, file, &last).await?;
        let read = read(&store, &path, written.bytes, &last).await?;
        if read.sha256 != written.sha256 {
            let detail = format!(
                "{}: the bytes that were read differ from those that were sent",
                file.key
            );
            return Err(DestinationError::Mismatch(detail));
        }
        Ok(written)
    }
}

/// Sends a file in one request or in parts. Returns its length and hash.
async fn write(
    store: &AmazonS3,
    path: &ObjectPath,
    file: DestinationFile<'_>,
    last: &LastReply,
) -> Result<Stored, DestinationError> {
    // A link would send another file of this machine.
    if !tokio::fs::symlink_metadata(file.local).await?.is_file() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
    }
    let mut local = File::open(file.local).await?;
    let bytes = local.metadata().await?.len();
    let part_bytes = bytes.div_ceil(PARTS_MAX).max(PART_BYTES);
    let attributes = Attributes::from_iter([(Attribute::ContentType, file.media_type.to_owned())]);
    let mut hash = Sha256::new();
    if bytes <= part_bytes {
        let whole = next_part(&mut local, part_bytes, &mut hash).await?;
        let options = PutOptions::from(attributes);
        let sent = store.put_opts(path, PutPayload::from_bytes(whole), options).await;
        sent.map_err(|error| last.explain(&error))?;
    } else {
        let options = PutMultipartOptions::from(attributes);
        let upload = store.put_multipart_opts(path, options).await;
        let mut upload = upload.map_err(|error| last.explain(&error))?;
        if let Err(error) = write_parts(upload.as_mut(), &mut local, part_bytes, &mut hash, last).await {
            // The parts cost money in the bucket of the customer. The first error is the one to report.
            if let Err(error) = upload.abort().await {
                tracing::info!(
                    error = logged(&error),
                    "failed to abort a multipart upload to a destination"
                );
            }
            return Err(error);
        }
    }
    Ok(Stored {
        bytes,
        sha256: hex::encode(hash.finalize()),
    })
}

async fn write_parts(
    upload: &mut dyn MultipartUpload,
    local: &mut File,
    part_bytes: u64,
    hash: &mut Sha256,
    last: &LastReply,
) -> Result<(), DestinationError> {
    loop {
        let part = next_part(local, part_bytes, hash).await?;
        if part.is_empty() {
            break;
        }
        let sent = upload.put_part(PutPayload::from_bytes(part)).await;
        sent.map_err(|error| last.explain(&error))?;
    }
    upload.complete().await.map_err(|error| last.explain(&error))?;
    Ok(())
}

/// The next bytes of a file; empty at its end.
async fn next_part(local: &mut File, part_bytes: u64, hash: &mut Sha256) -> io::Result<Bytes> {
    let mut part = Vec::new();
    local.take(part_bytes).read_to_end(&mut part).await?;
    hash.update(&part);
    Ok(part.into())
}

/// Reads an object of this length and hashes it.
async fn read(store: &AmazonS3, path: &ObjectPath, bytes: u64, last: &LastReply) -> Result<Stored, DestinationError> {
    let head = store
        .head(path)
        .await
        .map_err(|error| last.explain_read(path, &error))?;
    if head.size != bytes {
        let detail = format!("{path}: the object has {} bytes, {bytes} were sent", head.size);
        return Err(DestinationError::Mismatch(detail));
    }
    let (mut hash, mut position) = (Sha256::new(), 0);
    while position < bytes {
        let end = (position + PART_BYTES).min(bytes);
        let part = store.get_range(path, position..end).await;
        hash.update(part.map_err(|error| last.explain_read(path, &error))?);
        position = end;
    }
    Ok(Stored {
        bytes,
        sha256: hex::encode(hash.finalize()),
    })
}
