//! Rows of `kind=metadata`: changes of videos of the account.

use super::due::{DueImport, Failure, Progress, of_row, refused};
use crate::app::Core;
use crate::{Error, Refusal};
use domain::manifest::{MetadataRow, RowStatus, VideoRef, read_metadata};
use domain::video::merged_metadata;
use domain::{Code, EventType, TaskId, UserId, VideoId, Visibility};
use entity::import_row::{self, Ended, State};
use entity::library_change::{self, Subject};
use entity::video::Changes;
use entity::{DatabaseTransaction, Json, event, task, video};

/// Rows that are applied in one transaction, which holds the lock of the account.
const ROWS: u64 = 200;

/// Applies the next rows.
pub(super) async fn run(app: &Core, due: &DueImport) -> Result<Progress, Failure> {
    let (user, id) = (due.import.owner(), due.import.id);
    let written = entity::user::write(&app.db, user, async |db| {
        let rows = import_row::in_state(db, id, State::Pending, ROWS).await?;
        let (mut updated, mut failed) = (0, 0);
        let (mut events, mut subjects) = (Vec::new(), Vec::new());
        for row in &rows {
            let (status, ended) = match apply(db, user, row, due.import.is_dry_run).await {
                Ok(changed) => {
                    updated += 1;
                    if changed.is_new {
                        events.push(event::New::of_video(changed.event_type, &changed.video)?);
                        subjects.push(Subject::Video(changed.video.id));
                    }
                    let video_id = Some(changed.video.id);
                    let ended = Ended {
                        video_id,
                        ..Ended::default()
                    };
                    (RowStatus::Updated, ended)
                }
                Err(Error::Client(refusal)) if !refusal.is_transient() => {
                    failed += 1;
                    (RowStatus::Error, refused(&refusal))
                }
                Err(error) => return Err(Failure::Ours(error)),
            };
            import_row::set_end(db, row, RowStatus::Pending, status, ended).await?;
        }
        let counts = [(RowStatus::Updated, updated), (RowStatus::Error, failed)];
        let is_held = due.lease.add(db, RowStatus::Pending, &counts).await?;
        is_held.then_some(()).ok_or(Failure::Lost)?;
        event::append(db, events).await?;
        library_change::append(db, &subjects).await?;
        Ok::<_, Failure>(rows.len() as u64)
    });
    let ended = app.with_timeout(written).await?;
    Ok(Progress::of(ended))
}

/// A video after a row.
struct Changed {
    video: video::Model,
    /// The row has changed something.
    is_new: bool,
    event_type: EventType,
}

async fn apply(
    db: &DatabaseTransaction,
    user: UserId,
    row: &import_row::Model,
    is_dry_run: bool,
) -> Result<Changed, Error> {
    let fields = row
        .fields
        .as_ref()
        .and_then(Json::as_object)
        .cloned()
        .unwrap_or_default();
    let MetadataRow { video, changes } = read_metadata(&fields).map_err(of_row)?;
    let before = find(db, user, &video).await?;
    let metadata = merged_metadata(before.metadata.clone(), &changes.metadata);
    let metadata = metadata.map_err(|error| Refusal::new(Code::MetadataInvalid).detail(error.to_string()))?;
    if let Some(Some(external_id)) = &changes.external_id
        && let Some((_, other)) = video::with_external_ids(db, user, std::slice::from_ref(external_id))
            .await?
            .pop()
        && other != before.id
    {
        return Err(Refusal::new(Code::ExternalIdTaken)
            .detail(format!("video {other}"))
            .into());
    }
    if is_dry_run {
        return Ok(Changed {
            video: before,
            is_new: false,
            event_type: EventType::VideoUpdated,
        });
    }
    let visibility = changes.visibility;
    let changes = Changes {
        title: changes.title,
        description: changes.description,
        tags: changes.tags,
        region: changes.region,
        external_id: changes.external_id,
        metadata: Some(metadata),
    };
    let after = video::update(db, before.clone(), changes).await?;
    let after = match visibility {
        Some(visibility) => show_to(db, after, visibility).await?,
        None => after,
    };
    let is_new = video::Model {
        updated_at: before.updated_at,
        ..after.clone()
    } != before;
    let event_type = match (before.visibility == after.visibility, after.visibility.into()) {
        (true, _) => EventType::VideoUpdated,
        (false, Visibility::Private) => EventType::VideoUnpublished,
        (false, Visibility::Unlisted | Visibility::Public) => EventType::VideoPublished,
    };
    Ok(Changed {
        video: after,
        is_new,
        event_type,
    })
}

/// Changes the visibility of a video. If no task of it is processed, it is published when one is.
async fn show_to(db: &DatabaseTransaction, video: video::Model, visibility: Visibility) -> Result<video::Model, Error> {
    if visibility == Visibility::Private {
        return Ok(video::unpublish(db, video).await?);
    }
    let video = video::publish_later(db, video, visibility).await?;
    let shown = match video.task_id {
        Some(task) => Some(TaskId(task)),
        None => task::newest_processed(db, &video).await?.map(|task| task.task_id()),
    };
    match shown {
        Some(task) => Ok(video::publish(db, video, task, visibility).await?),
        None => Ok(video),
    }
}

async fn find(db: &DatabaseTransaction, user: UserId, video: &VideoRef) -> Result<video::Model, Error> {
    let id = match video {
        VideoRef::Id(id) => Some(*id),
        VideoRef::External(id) => {
            let found = video::with_external_ids(db, user, std::slice::from_ref(id))
                .await?
                .pop();
            found.map(|(_, id)| VideoId(id))
        }
    };
    let found = match id {
        Some(id) => video::of_user(db, user, id).await?,
        None => None,
    };
    Ok(found.ok_or(Code::VideoNotFound)?)
}
