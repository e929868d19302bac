//! Presigned uploads: the client writes the parts of a file to the bucket itself, and the service verifies the whole.
//!
//! *Problem.* The bytes of an upload cross the network of the service twice when its storage is a bucket. Clients can
//! write to the bucket themselves, but nothing that they have written may be trusted.
//!
//! *Mechanism.* [`resumable::create`](super::resumable::create) begins a multipart upload with parts of one size.
//! [`sign`] returns URLs that each allow to write one part. [`complete`] ends the multipart upload with the `ETag`s of
//! the parts, compares the length with the announced one, checks the first bytes for a media format, and reads the
//! object once for its SHA-256. From then on it is a complete upload like any other, and [`finish`](super::finish)
//! makes a task of it. Everything else is shared with uploads that are sent to the service (`entity::upload`): the
//! lease, the removal of those that are not continued, and the position, which counts the verified bytes here. So a
//! verification that takes longer than a request is continued by the next one, in any process.
//!
//! *Invariants.* An upload has a SHA-256 only after the service has read each byte of it. The URLs are void when the
//! multipart upload has ended, so the object does not change after that.
//!
//! *Rejected.* Checksums by the bucket: S3 has no SHA-256 of an object of several parts. A background task for the
//! verification: the client waits for it in any case.
//!
//! *Limit.* `object_store` cannot sign `Content-Length`, so a bucket accepts parts of any length. A file that is longer
//! than announced is removed when it is completed, or when it expires.

use super::session::{Session, gone, interrupted};
use crate::app::Core;
use crate::uninterrupted::uninterrupted;
use crate::{Error, Refusal};
use domain::{Code, UserId};
use entity::upload::{self, Ownership};
use std::time::Duration;
use storage::Key;
use tokio::time::{Instant, timeout};

/// Time for which a signed URL is valid.
pub const URL_LIFETIME: Duration = Duration::from_hours(1);
/// Maximum number of URLs of one request.
pub const URLS_MAX: u32 = 100;
/// Bytes of an object that are verified before progress is recorded. A process that is killed loses no more.
const VERIFY_BYTES: u64 = 32 << 20;
/// Time for which one request verifies.
const VERIFY_FOR: Duration = Duration::from_secs(15);
/// Time after which a client gets a reply while the bucket still joins the parts.
const REPLY_AFTER: Duration = Duration::from_secs(25);

/// The permission to write one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedPart {
    /// The number, from 1.
    pub number: u32,
    /// The length in bytes.
    pub bytes: u64,
    /// The URL for `PUT`.
    pub url: String,
}

/// The end of an upload as the client tells it.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The `ETag` that the bucket has given to each part, in order.
    pub etags: Vec<String>,
    /// Hexadecimal SHA-256 that the file must have, in lower case.
    pub sha256: Option<String>,
}

/// The number of parts of an upload.
#[must_use]
pub fn part_count(upload: &upload::Model) -> u32 {
    let part_bytes = u64::try_from(upload.part_bytes).unwrap_or_default().max(1);
    let count = upload.length().unwrap_or_default().div_ceil(part_bytes);
    u32::try_from(count).unwrap_or(u32::MAX)
}

async fn find(app: &Core, user: UserId, id: &str) -> Result<upload::Model, Error> {
    let found = app.with_timeout(upload::of_user(&app.db, user, id)).await?;
    Ok(found.filter(is_presigned).ok_or(Code::UploadNotFound)?)
}

const fn is_presigned(upload: &upload::Model) -> bool {
    upload.presigned
}

/// Signs URLs for at most `count` parts from number `first` on. The upload expires later then.
///
/// # Errors
/// `upload_not_found`; `request_invalid` when there is no such part; errors of the database.
pub async fn sign(app: &Core, user: UserId, id: &str, first: u32, count: u32) -> Result<Vec<SignedPart>, Error> {
    let row = find(app, user, id).await?;
    let (parts, length) = (part_count(&row), row.length().unwrap_or_default());
    if !(1..=parts).contains(&first) {
        let detail = format!("first: {first}; accepted: 1 to {parts}");
        return Err(Refusal::new(Code::RequestInvalid).detail(detail).into());
    }
    let extended = upload::extend(&app.db, id, app.settings.upload_ttl);
    let extended = app.with_timeout(extended).await?;
    extended.then_some(()).ok_or(Code::UploadNotFound)?;
    let key = Key::parse(&row.key).map_err(anyhow::Error::from)?;
    let (multipart_id, part_bytes) = (row.multipart_id.unwrap_or_default(), row.part_bytes.unsigned_abs());
    let mut signed = Vec::new();
    for number in (first..=parts).take(count.min(URLS_MAX) as usize) {
        let url = app.storage.sign_part(&key, &multipart_id, number, URL_LIFETIME);
        signed.push(SignedPart {
            number,
            bytes: part_bytes.min(length - u64::from(number - 1) * part_bytes),
            url: url.await.map_err(gone)?,
        });
    }
    Ok(signed)
}

/// Completes an upload whose parts are written, and verifies the file for some seconds. Returns the upload as it stands
/// then; the client repeats the request until it has a SHA-256. A file that is not as announced is removed.
///
/// # Errors
/// `upload_not_found`, `upload_parts_invalid`, `not_media`, `checksum_mismatch`, `upload_interrupted`; errors of the
/// storage and the database.
pub async fn complete(app: &Core, user: UserId, id: &str, parts: Parts) -> Result<upload::Model, Error> {
    let row = find(app, user, id).await?;
    let (given, accepted) = (parts.etags.len(), part_count(&row));
    if given != accepted as usize {
        return Err(invalid_parts(&format!("{given}; accepted: {accepted}")));
    }
    let (app, id) = (app.clone(), id.to_owned());
    let work = uninterrupted(async move {
        let mut session = Session::take_over(&app, &user.into(), &id, is_presigned).await?;
        let verified = verify(&mut session, parts).await;
        let row = session.release().await;
        verified.map(|()| row)
    });
    timeout(REPLY_AFTER, work).await.unwrap_or(Ok(row))
}

fn invalid_parts(detail: &str) -> Error {
    Refusal::new(Code::UploadPartsInvalid).detail(detail).into()
}

async fn verify(session: &mut Session, parts: Parts) -> Result<(), Error> {
    if session.row.received_bytes == 0 {
        assemble(session, parts.etags).await?;
    }
    hash(session).await?;
    if !session.row.is_received() {
        return Ok(());
    }
    session.complete().await?;
    if parts.sha256.is_none() || parts.sha256 == session.row.sha256 {
        return Ok(());
    }
    if session.row.task_id.is_none() {
        session.discard().await?;
    }
    Err(Code::ChecksumMismatch.into())
}

/// Makes an object of the parts, and checks its length and its format before it is read.
async fn assemble(session: &Session, etags: Vec<String>) -> Result<(), Error> {
    let (position, storage) = (session.position()?, &session.app.storage);
    let bytes = storage.assemble(&position, etags).await.map_err(|error| match error {
        storage::Error::PartsRefused { .. } => invalid_parts("the bucket refuses them: one is missing or too small"),
        error => gone(error),
    })?;
    let announced = session.row.length().unwrap_or_default();
    if bytes != announced {
        session.discard().await?;
        let detail = format!("{bytes} bytes; accepted: {announced}; the upload was removed");
        return Err(invalid_parts(&detail));
    }
    session.check_format(&position.key).await
}

/// Hashes the object until its end, or until the time of this request is over.
async fn hash(session: &mut Session) -> Result<(), Error> {
    let begun = Instant::now();
    while !session.row.is_received() && begun.elapsed() < VERIFY_FOR {
        let position = session.position()?;
        let hashed = session.app.storage.hash_next(&position, VERIFY_BYTES).await;
        let progress = hashed.map_err(gone)?;
        if progress.bytes == position.bytes {
            return Err(Code::UploadNotFound.into());
        }
        session.record(progress).await?;
        match session.state().await? {
            Ownership::Held => {}
            Ownership::Wanted => break,
            Ownership::Lost => return Err(interrupted()),
        }
    }
    Ok(())
}
