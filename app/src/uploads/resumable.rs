//! Resumable uploads: files that clients send in several requests. `entity::upload` has the theory of operation.
//!
//! An upload is created, then receives bytes until it is complete, and becomes a task with
//! [`finish`](super::finish), or the manifest of an import ([`ManifestFile`](super::ManifestFile)). Uploads that are
//! not continued are removed by a background task of the worker.

pub use super::receive::Patch;

use super::limits::{lifetime, max_bytes};
use super::session::Session;
use super::uploader::Uploader;
use super::{guests, receive};
use crate::app::Core;
use crate::file_name;
use crate::idempotency::{Fingerprint, KeyGuard};
use crate::trash::{remove_listed, unlist};
use crate::uninterrupted::uninterrupted;
use crate::{Error, Refusal, guest_links, too_large};
use bytes::Bytes;
use domain::{Code, UploadPurpose};
use entity::{DatabaseTransaction, fetch, guest_link, import_row, trash, upload};
use futures::Stream;
use serde::Serialize;
use std::time::Duration;
use storage::Key;
use tokio::time::timeout;
use uuid::Uuid;

/// Maximum number of uploads of one account that are no task yet.
const MAX_UPLOADS: u64 = 1_000;

/// Time that a request for the offset waits for the task of a guest's file.
const TASK_TIMEOUT: Duration = Duration::from_secs(5);

/// Time after which the file of an upload is removed that was not recorded.
const UNRECORDED_AFTER: Duration = Duration::from_hours(1);

/// A new upload.
#[derive(Clone, Default)]
pub struct New {
    /// The name of the file as given by the client.
    pub file_name: String,
    /// The header `Upload-Metadata` as it was sent.
    pub metadata: String,
    /// The length of the file; `None` if the client does not know it yet.
    pub length_bytes: Option<u64>,
    /// The client writes the file to the bucket itself ([`presigned`](super::presigned)).
    pub presigned: bool,
    /// A worker fetches the file ([`fetched`](super::fetched)).
    pub fetch: Option<fetch::New>,
    /// The hash of the request, for its idempotency key.
    pub fingerprint: Fingerprint,
    /// The row of an import that asks for the file.
    pub row: Option<import_row::Model>,
    /// The purpose of the file. Guests send videos alone.
    pub purpose: UploadPurpose,
}

/// Creates an upload without bytes. That of a guest takes a place of the link.
///
/// # Errors
/// `file_empty`, `upload_too_large`, `uploads_too_many`, `presigned_unavailable`, `idempotency_key_in_use`; for a guest
/// `guest_link_used_up`, `guest_link_expired`, `guest_link_revoked`; errors of the storage and the database.
pub async fn create<R: Serialize + Send + Sync + 'static>(
    app: &Core,
    uploader: &Uploader,
    new: New,
    guard: KeyGuard,
    reply: fn(&upload::Model) -> R,
) -> Result<R, Error> {
    let (account, guest) = (uploader.account, &uploader.guest);
    let of_guest = guest.as_ref().map_or(u64::MAX, |guest| guest.max_bytes);
    let max_bytes = max_bytes(app, new.purpose).min(of_guest);
    match new.length_bytes {
        Some(0) => return Err(Code::FileEmpty.into()),
        Some(bytes) if bytes > max_bytes => return Err(too_large(max_bytes).into()),
        _ => {}
    }
    if guest.is_some() && new.purpose != UploadPurpose::default() {
        let detail = format!("purpose {}; accepted from guests: video", new.purpose.as_str());
        return Err(Refusal::new(Code::UploadHeaderInvalid).detail(detail).into());
    }
    if new.presigned && app.storage.local_root().is_some() {
        return Err(Code::PresignedUnavailable.into());
    }
    let count = app.with_timeout(upload::count_open(&app.db, account, guest.is_some()));
    Refusal::unless_below(MAX_UPLOADS, count.await?, Code::UploadsTooMany)?;
    let (app, uploader) = (app.clone(), uploader.clone());
    uninterrupted(async move { begin(&app, uploader, new, &guard, reply).await }).await
}

/// Begins the file, then inserts the row. The file is on the trash list in between.
async fn begin<R: Serialize>(
    app: &Core,
    Uploader { account, guest }: Uploader,
    new: New,
    guard: &KeyGuard,
    reply: fn(&upload::Model) -> R,
) -> Result<R, Error> {
    let id = Uuid::new_v4();
    let key = Key::source(id);
    let keys = [key.to_string()];
    app.with_timeout(trash::add_keys(&app.db, &keys, UNRECORDED_AFTER))
        .await?;
    let expected_bytes = new.length_bytes.unwrap_or(max_bytes(app, new.purpose));
    let begun = if new.presigned {
        app.storage.begin_presigned(&key, expected_bytes).await
    } else {
        app.storage.begin(&key, expected_bytes).await
    };
    let multipart = match begun {
        Ok(multipart) => multipart,
        Err(error) => {
            let _ = unlist(app, key.as_str()).await;
            return Err(error.into());
        }
    };
    let row = upload::New {
        id: id.to_string(),
        key: key.to_string(),
        file_name: file_name::display(&new.file_name),
        metadata: new.metadata,
        length_bytes: new.length_bytes,
        presigned: new.presigned,
        fetched: new.fetch.is_some(),
        part_bytes: multipart.as_ref().map_or(0, |multipart| multipart.part_bytes),
        multipart_id: multipart.map(|multipart| multipart.id),
        guest,
        purpose: new.purpose,
    };
    let lifetime = lifetime(row.fetched, &app.settings);
    let written = entity::user::write(&app.db, account, async |db| {
        trash::remove_key(db, key.as_str()).await?;
        if let Some(guest) = &row.guest
            && !guest_link::take_place(db, guest.link).await?
        {
            return Err(Code::GuestLinkUsedUp.into());
        }
        let created = upload::create(db, account, &row, lifetime).await?;
        if let Some(fetch) = &new.fetch {
            fetch::create(db, &created.id, fetch).await?;
        }
        begin_row(db, new.row.as_ref(), &created.id).await?;
        let reply = reply(&created);
        guard.store_reply(db, &new.fingerprint, &reply).await?;
        Ok::<_, Error>(reply)
    });
    let written = app.with_timeout(written).await;
    match &written {
        Ok(_) => {}
        // The commit may have succeeded: the trash list decides.
        Err(Error::Client(refusal)) if refusal.code == Code::Unavailable => {}
        Err(_) => {
            let _ = app.storage.abort_multipart(&key, row.multipart_id.as_deref()).await;
            remove_listed(app, key.as_str()).await;
        }
    }
    told_why(app, row.guest.as_ref(), written).await
}

/// Records that an upload fetches the file of a row. It is an error if another worker has begun the row.
async fn begin_row(db: &DatabaseTransaction, row: Option<&import_row::Model>, upload: &str) -> Result<(), Error> {
    let Some(row) = row else { return Ok(()) };
    let is_ours = import_row::begin(db, row, upload).await?;
    is_ours.then_some(()).ok_or_else(|| Code::UploadInterrupted.into())
}

/// Replaces the refusal of a link without a place with its reason.
async fn told_why<R>(app: &Core, guest: Option<&upload::Guest>, written: Result<R, Error>) -> Result<R, Error> {
    match (written, guest) {
        (Err(Error::Client(refusal)), Some(guest)) if refusal.code == Code::GuestLinkUsedUp => {
            Err(guest_links::no_place(app, guest.link).await)
        }
        (written, _) => written,
    }
}

/// Matches uploads whose bytes are sent to the service.
const fn is_sent_here(upload: &upload::Model) -> bool {
    !upload.presigned && !upload.fetched
}

/// An upload with the offset from which the client can go on. A request that still writes to it ends first. If that one
/// goes on, because it makes progress with something that takes longer, the offset is the one that is recorded.
///
/// Clients take an offset at the end of the file as their success, so the task of a guest's file is created first: the
/// request with the last byte may not have come to that. A refusal of the task stays with the upload; after another
/// error, or when it takes longer than five seconds, a worker creates the task.
///
/// # Errors
/// `upload_not_found`; errors of the database.
pub async fn current_offset(app: &Core, uploader: &Uploader, id: &str) -> Result<upload::Model, Error> {
    let mut row = find(app, uploader, id).await?;
    if row.holder.is_some() {
        row = end_holder(app, uploader, id).await?;
    }
    if !guests::awaits_task(&row) {
        return Ok(row);
    }
    match timeout(TASK_TIMEOUT, guests::create_task(app, &row)).await {
        Ok(Ok(())) => return Ok(row),
        Ok(Err(error)) => tracing::warn!(upload = id, ?error, "failed to create the task of a guest's file"),
        Err(_) => {}
    }
    // The file may have turned out to be no media.
    find(app, uploader, id).await
}

/// Ends a request that writes to the upload, and returns the upload as it stands then.
async fn end_holder(app: &Core, uploader: &Uploader, id: &str) -> Result<upload::Model, Error> {
    let (app, uploader, id) = (app.clone(), uploader.clone(), id.to_owned());
    uninterrupted(async move {
        match Session::take_over(&app, &uploader, &id, is_sent_here).await {
            Ok(session) => Ok(session.release().await),
            Err(error) if is_interrupted(&error) => find(&app, &uploader, &id).await,
            Err(error) => Err(error),
        }
    })
    .await
}

async fn find(app: &Core, uploader: &Uploader, id: &str) -> Result<upload::Model, Error> {
    let found = Some(uploader.find(app, id).await?);
    Ok(found.filter(is_sent_here).ok_or(Code::UploadNotFound)?)
}

/// Returns `true` if another request has the upload, or asks for it.
fn is_interrupted(error: &Error) -> bool {
    matches!(error, Error::Client(refusal) if refusal.code == Code::UploadInterrupted)
}

/// Appends bytes to an upload and returns it as it stands then. With the last byte of a guest, its task is created. A
/// request that still writes to it ends first. Dropping the future does not stop it: it ends with the stream, and keeps
/// what it has received.
///
/// # Errors
/// `upload_not_found`, `upload_offset_wrong`, `upload_header_invalid`, `upload_too_large`, `checksum_mismatch`,
/// `not_media`, `upload_interrupted`, `storage_full`; errors of the stream, the storage and the database.
pub async fn append<S>(
    app: &Core,
    uploader: &Uploader,
    id: &str,
    patch: Patch,
    stream: S,
) -> Result<upload::Model, Error>
where
    S: Stream<Item = Result<Bytes, Error>> + Send + 'static,
{
    let (app, uploader, id) = (app.clone(), uploader.clone(), id.to_owned());
    uninterrupted(async move {
        let mut session = Session::take_over(&app, &uploader, &id, is_sent_here).await?;
        let is_only_request = patch.is_only_request;
        let appended = receive::append(&mut session, patch, stream).await;
        if appended
            .as_ref()
            .is_err_and(|error| is_only_request && !is_interrupted(error))
            && let Err(error) = session.discard().await
        {
            tracing::debug!(?error, "failed to remove an upload; it expires");
        }
        let row = session.release().await;
        appended?;
        let created = guests::create_task(&app, &row).await;
        if created
            .as_ref()
            .is_err_and(|error| is_only_request && !is_interrupted(error))
            && let Err(error) = remove(&app, &uploader, &id).await
        {
            tracing::debug!(?error, "failed to remove a guest's upload; it expires");
        }
        created.map(|()| row)
    })
    .await
}

/// Removes an upload. The file of a task stays.
///
/// # Errors
/// `upload_not_found`, `upload_interrupted`; errors of the storage and the database.
pub async fn remove(app: &Core, uploader: &Uploader, id: &str) -> Result<(), Error> {
    let (app, uploader, id) = (app.clone(), uploader.clone(), id.to_owned());
    uninterrupted(async move {
        let session = Session::take_over(&app, &uploader, &id, |_| true).await?;
        let removed = session.discard().await;
        if removed.is_err() {
            session.release().await;
        }
        removed
    })
    .await
}
