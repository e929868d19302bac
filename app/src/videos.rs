//! Videos: the owner changes, publishes, hides and removes them. `uploads.rs` creates them. `library.rs` finds them.
//!
//! Each change returns its number in the log of the library. A process that answers from its catalog waits until the
//! catalog has applied that number, so that an owner finds what was just changed.

use crate::app::App;
use crate::trash::remove_listed;
use crate::{Error, OnUnique, Refusal};
use domain::video::merged_metadata;
use domain::{Code, EventType, Status, TaskId, UserId, VideoId, Visibility};
use entity::library_change::{self, Subject};
use entity::video::Changes;
use entity::{DatabaseTransaction, Json, event, output, task, video};
use serde_json::Map;

/// A video with its tasks, as its owner sees it.
#[derive(Debug)]
pub struct OwnVideo {
    /// The video.
    pub video: video::Model,
    /// Its tasks, the newest first.
    pub tasks: Vec<task::Model>,
    /// The outputs of the task that is shown, the main one first.
    pub outputs: Vec<output::Model>,
}

/// A changed video.
#[derive(Debug)]
pub struct Changed {
    /// The video after the change.
    pub video: OwnVideo,
    /// Number of the change in the log of the library; 0 if nothing has changed, which has no event either.
    pub seq: i64,
}

/// Changes of a video.
#[derive(Debug, Default)]
pub struct Patch {
    /// The new values of columns. The metadata of this field are ignored.
    pub changes: Changes,
    /// The change of the metadata.
    pub metadata: MetadataPatch,
}

/// A change of the metadata of a video.
#[derive(Debug, Default)]
pub enum MetadataPatch {
    /// No change.
    #[default]
    Keep,
    /// All are removed.
    Clear,
    /// A JSON merge patch (RFC 7396).
    Merge(Map<String, Json>),
}

/// The task to publish, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Publication {
    /// A processed task of the video; the newest one if absent.
    pub task: Option<TaskId>,
    /// `unlisted` or `public`. If absent, the audience of a published video stays, and a private one becomes public.
    pub visibility: Option<Visibility>,
}

/// A video of an account.
///
/// # Errors
/// `video_not_found`.
pub async fn show(app: &App, user: UserId, id: VideoId) -> Result<OwnVideo, Error> {
    let video = video::of_user(&app.db, user, id).await?.ok_or(Code::VideoNotFound)?;
    with_tasks(&app.db, video).await
}

/// Changes the description of a video.
///
/// # Errors
/// `video_not_found`, `external_id_taken`.
pub async fn update(app: &App, user: UserId, id: VideoId, patch: Patch) -> Result<Changed, Error> {
    let Patch { changes, metadata } = patch;
    change(app, user, id, EventType::VideoUpdated, async |db, video| {
        let metadata = match metadata {
            MetadataPatch::Keep => None,
            MetadataPatch::Clear => Some(Json::Object(Map::new())),
            MetadataPatch::Merge(patch) => {
                let merged = merged_metadata(video.metadata.clone(), &patch);
                Some(merged.map_err(|error| Refusal::of_invalid_field("metadata", error))?)
            }
        };
        let changes = Changes { metadata, ..changes };
        video::update(db, video, changes).await.on_unique(Code::ExternalIdTaken)
    })
    .await
}

/// Publishes a video, or changes which of its tasks is shown and to whom.
///
/// # Errors
/// `video_not_found`, `task_not_found` if the task is not one of the video, `task_not_processed`.
pub async fn publish(app: &App, user: UserId, id: VideoId, publication: Publication) -> Result<Changed, Error> {
    change(app, user, id, EventType::VideoPublished, async |db, video| {
        let task = published_task(db, &video, publication.task).await?;
        let visibility = publication.visibility.unwrap_or(match video.visibility.into() {
            Visibility::Unlisted => Visibility::Unlisted,
            Visibility::Private | Visibility::Public => Visibility::Public,
        });
        Ok(video::publish(db, video, task, visibility).await?)
    })
    .await
}

/// [`publish`] for a task whose video the caller does not know.
///
/// # Errors
/// `task_not_found`, `task_not_processed`, `video_not_found` while the video of an old task does not exist yet.
pub async fn publish_task(app: &App, task: &task::Model, visibility: Option<Visibility>) -> Result<Changed, Error> {
    let video = video::of_source(&app.db, task.source_id).await?;
    let id = video.ok_or(Code::VideoNotFound)?.video_id();
    let publication = Publication {
        task: Some(task.task_id()),
        visibility,
    };
    publish(app, task.owner(), id, publication).await
}

/// Makes a video private.
///
/// # Errors
/// `video_not_found`.
pub async fn unpublish(app: &App, user: UserId, id: VideoId) -> Result<Changed, Error> {
    change(app, user, id, EventType::VideoUnpublished, async |db, video| {
        Ok(video::unpublish(db, video).await?)
    })
    .await
}

/// Removes a video with its tasks, their outputs and its source. Returns the number of the change. Tasks in progress
/// are canceled.
///
/// # Errors
/// `video_not_found`.
pub async fn remove(app: &App, user: UserId, id: VideoId) -> Result<i64, Error> {
    let removed = entity::user::write(&app.db, user, async |db| {
        let video = video::of_user(db, user, id).await?.ok_or(Code::VideoNotFound)?;
        let tasks = task::of_video(db, &video).await?;
        let removed = task::remove_video(db, &video).await?;
        Ok::<_, Error>((tasks, removed.ok_or(Code::VideoNotFound)?))
    });
    let (tasks, (keys, seq)) = removed.await?;
    for task in &tasks {
        app.queue.publish_update(user, task.task_id());
    }
    for key in keys {
        remove_listed(app, &key).await;
    }
    tracing::info!(video.id = id.0, "removed");
    Ok(seq)
}

/// Applies a change to a video of the account, in a transaction, and appends it to the logs.
async fn change(
    app: &App,
    user: UserId,
    id: VideoId,
    kind: EventType,
    apply: impl AsyncFnOnce(&DatabaseTransaction, video::Model) -> Result<video::Model, Error>,
) -> Result<Changed, Error> {
    entity::user::write(&app.db, user, async |db| {
        let video = video::of_user(db, user, id).await?.ok_or(Code::VideoNotFound)?;
        let before = video.clone();
        let video = apply(db, video).await?;
        let video = with_tasks(db, video).await?;
        let after = video::Model {
            updated_at: before.updated_at,
            ..video.video.clone()
        };
        if after == before {
            return Ok(Changed { video, seq: 0 });
        }
        event::append(db, vec![event::New::of_video(kind, &video.video)?]).await?;
        let seq = library_change::append(db, &[Subject::Video(id.0)]).await?;
        Ok(Changed { video, seq })
    })
    .await
}

/// The task to show. It belongs to the video and is processed.
async fn published_task(
    db: &DatabaseTransaction,
    video: &video::Model,
    given: Option<TaskId>,
) -> Result<TaskId, Error> {
    let task = match given {
        Some(id) => {
            let task = task::of_user(db, video.owner(), id).await?;
            let task = task.filter(|task| task.source_id == video.source_id);
            task.ok_or_else(|| Refusal::of_field("task_id", Code::TaskNotFound))?
        }
        None => {
            let newest = task::newest_processed(db, video).await?;
            newest.ok_or(Code::TaskNotProcessed)?
        }
    };
    match Status::from(task.status) {
        Status::Processed => Ok(task.task_id()),
        status => Err(Refusal::new(Code::TaskNotProcessed)
            .detail(format!("status: {status}"))
            .into()),
    }
}

async fn with_tasks(db: &impl entity::ConnectionTrait, video: video::Model) -> Result<OwnVideo, Error> {
    let tasks = task::of_video(db, &video).await?;
    let outputs = match video.task_id {
        Some(task) => output::of_task(db, task).await?,
        None => Vec::new(),
    };
    Ok(OwnVideo { video, tasks, outputs })
}
