//! Uploads: a stream of bytes becomes a checked and stored file, at once ([`store`]), in several requests
//! ([`resumable`]), in the bucket by the client itself ([`presigned`]) or by a worker that fetches it ([`fetched`]),
//! and this file a source, a task and a video ([`finish`]). Each way in ends here.

pub(crate) mod active;
mod checksum;
mod complete_upload;
pub mod fetched;
pub mod guests;
mod imported;
mod lease;
mod limits;
mod manifest_file;
mod new_file;
pub mod presigned;
mod receive;
pub mod resumable;
mod session;
mod source_file;
mod uploader;

pub use checksum::{Algorithm, Checksum};
pub use imported::ImportedVideo;
pub use manifest_file::ManifestFile;
pub(crate) use manifest_file::OpenManifest;
pub use source_file::File;
pub use uploader::Uploader;

use crate::app::Core;
use crate::container::{PEEK_BYTES, check_media};
use crate::idempotency::{Fingerprint, KeyGuard};
use crate::recipe_choice::{RecipeChoice, check_names};
use crate::uninterrupted::uninterrupted;
use crate::webhooks::{WebhookUrl, ensure_for_tasks};
use crate::{Error, NewFile, Refusal, file_name, plans, tasks};
use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use domain::video::title_of_file;
use domain::{Code, EventType, TaskId, UserId, VideoId};
use entity::event::{self, New as Event};
use entity::library_change::{self, Subject};
use entity::{DatabaseTransaction, fetch, source, task, upload, video};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::Serialize;
use std::pin::pin;
use storage::Key;
use uuid::Uuid;

/// A stored file with the recipe for it.
pub struct Upload {
    /// The stored file.
    pub file: File,
    /// The recipe to use.
    pub choice: RecipeChoice,
    /// The URL that gets the events of the task.
    pub webhook_url: Option<WebhookUrl>,
    /// The hash of the request, for its idempotency key.
    pub fingerprint: Fingerprint,
    /// The row of an import that describes the video.
    pub imported: Option<ImportedVideo>,
}

impl Upload {
    /// A stored file for the default preset, without an idempotency key.
    #[must_use]
    pub fn new(given_name: impl Into<String>, file: NewFile) -> Self {
        let (given_name, file) = (given_name.into(), Box::new(file));
        Self {
            file: File::New { given_name, file },
            choice: RecipeChoice::default(),
            webhook_url: None,
            fingerprint: Fingerprint::default(),
            imported: None,
        }
    }
}

/// Checks the first bytes of a stream for a media format, then stores it under a new key. Dropping the future or the
/// file leaves nothing behind.
///
/// # Errors
/// `file_empty`; `not_media` when the format is not accepted; `upload_too_large`; `storage_full`; errors of the stream,
/// of the database and of the storage.
pub async fn store(
    app: &Core,
    stream: impl Stream<Item = Result<Bytes, Error>>,
    declared_bytes: Option<u64>,
) -> Result<NewFile, Error> {
    let mut stream = pin!(stream);
    let mut head = BytesMut::new();
    while head.len() < PEEK_BYTES
        && let Some(chunk) = stream.try_next().await?
    {
        head.extend_from_slice(&chunk);
    }
    if head.is_empty() {
        return Err(Refusal::of_field("file", Code::FileEmpty).into());
    }
    check_media(&head)?;
    let whole = stream::iter([Ok(head.freeze())]).chain(stream);
    let counted = whole.inspect_ok(|chunk: &Bytes| {
        metrics::counter!("rushes_upload_bytes_total").increment(chunk.len() as u64);
    });
    let limit = app.settings.limits.max_upload_bytes;
    NewFile::put(app, Key::source(Uuid::new_v4()), counted, declared_bytes, limit).await
}

/// An upload as its sender sees it.
pub struct Shown {
    /// The upload.
    pub upload: upload::Model,
    /// Its fetch, if a worker fetches the file.
    pub fetch: Option<fetch::Model>,
    /// Its task. Only for a guest, who cannot read the task itself.
    pub task: Option<task::TaskSummary>,
}

/// An upload of this sender as it stands. A request that writes to it goes on.
///
/// # Errors
/// `upload_not_found`; errors of the database.
pub async fn show(app: &Core, uploader: &Uploader, id: &str) -> Result<Shown, Error> {
    let upload = uploader.find(app, id).await?;
    let fetch = if upload.fetched {
        app.with_timeout(fetch::of_upload(&app.db, id)).await?
    } else {
        None
    };
    let task = match (&uploader.guest, upload.task_id) {
        (Some(_), Some(task)) => app.with_timeout(task::summary(&app.db, TaskId(task))).await?,
        _ => None,
    };
    Ok(Shown { upload, fetch, task })
}

/// Creates the rows of an upload in one transaction and wakes a worker. If the transaction fails, a new file is
/// removed, and a resumable upload stays. Dropping the future does not stop it: a client that disconnects now may have
/// a task.
///
/// # Errors
/// `recipe_invalid`, `task_too_large`, `idempotency_key_in_use`; the errors of [`File`]; `unavailable` when it is
/// unknown if the task exists.
pub async fn finish<R: Serialize + Send + Sync + 'static>(
    app: &Core,
    user: UserId,
    upload: Upload,
    guard: KeyGuard,
    reply: fn(&task::Model, VideoId) -> R,
) -> Result<R, Error> {
    let app = app.clone();
    uninterrupted(async move { create(&app, user, upload, &guard, reply).await }).await
}

async fn create<R: Serialize>(
    app: &Core,
    user: UserId,
    upload: Upload,
    guard: &KeyGuard,
    reply: fn(&task::Model, VideoId) -> R,
) -> Result<R, Error> {
    let Upload {
        file,
        choice,
        webhook_url,
        fingerprint,
        imported,
    } = upload;
    let file = file.open(app, user).await?;
    let (given_name, new_source) = (file.given_name().to_owned(), file.row());
    let sha256 = new_source.sha256.clone();
    let checked = async {
        let resolved = choice.resolve(&app.settings.default_preset)?;
        // If the account has uploaded the same bytes before, their probe is known.
        let probe = source::known_probe(&app.db, user, &sha256).await?;
        plans::check_task_size(app, user, &resolved.recipe, probe.as_ref()).await?;
        Ok::<_, Error>(resolved)
    };
    let written = async {
        // Planned before the transaction, which holds a lock on the row of the account.
        let resolved = checked.await?;
        entity::user::write(&app.db, user, async |db| {
            check_names(db, user, &resolved.recipe).await?;
            let stored = source::create(db, user, new_source).await?;
            if webhook_url.is_some() {
                ensure_for_tasks(app, db, user).await?;
            }
            let new = task::New {
                source_id: stored.id,
                display_name: file_name::display(&given_name),
                safe_name: file_name::safe(&given_name),
                preset: resolved.preset,
                recipe: serde_json::to_value(resolved.recipe).context("failed to serialize a recipe")?,
                webhook_url: webhook_url.map(WebhookUrl::into_string),
            };
            let task = task::create(db, user, new).await?;
            file.attach(db, task.id).await?;
            let video = video::create(db, user, stored.id, title_of_file(&task.display_name)).await?;
            let video = described(db, user, imported.as_ref(), task.id, video).await?;
            let reply = reply(&task, video.video_id());
            guard.store_reply(db, &fingerprint, &reply).await?;
            let created = vec![
                Event::of_video(EventType::VideoCreated, &video)?,
                Event::of_task(db, EventType::TaskCreated, task.task_id()).await?,
            ];
            event::append(db, created).await?;
            library_change::append(db, &[Subject::Video(video.id)]).await?;
            Ok::<_, Error>((task, reply))
        })
        .await
    };
    // The file is named by the transaction, so it is decided after it.
    let written = app.with_timeout(written).await;
    file.decide(&written).await;
    let (task, reply) = written?;
    tracing::info!(task.id = task.id, "uploaded");
    tasks::wake(app, &task);
    Ok(reply)
}

/// Ends the row of an import that describes a new video, and writes its details into the video.
async fn described(
    db: &DatabaseTransaction,
    user: UserId,
    row: Option<&ImportedVideo>,
    task: i64,
    video: video::Model,
) -> Result<video::Model, Error> {
    let Some(row) = row else { return Ok(video) };
    row.end(db, task, video.id).await?;
    row.describe(db, user, video).await
}
