//! The tasks of a video, and videos of sources that have none: those from before videos existed, and those that a
//! process of the previous version receives during an upgrade.

use super::{Column, Entity, Model, Removed, TaskStatus, remove_rows};
use crate::event::{self, New as Event};
use crate::library_change::{self, Subject};
use crate::{source, user, video};
use domain::video::title_of_file;
use domain::{EventType, UserId};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, QueryOrder, QuerySelect};

/// The tasks of a video, the newest first.
///
/// # Errors
/// Any database error.
pub async fn of_video(db: &impl ConnectionTrait, video: &video::Model) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::SourceId.eq(video.source_id))
        .order_by_desc(Column::Id)
        .all(db)
        .await
}

/// The newest processed task of a video.
///
/// # Errors
/// Any database error.
pub async fn newest_processed(db: &impl ConnectionTrait, video: &video::Model) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .filter(Column::SourceId.eq(video.source_id))
        .filter(Column::Status.eq(TaskStatus::Processed))
        .order_by_desc(Column::Id)
        .one(db)
        .await
}

/// Removes a video with its tasks, their outputs and its source. Call it in [`user::write`]. Returns the storage keys
/// of the removed files, as [`remove`](super::remove) does, and the number of the change; `None` if another request has
/// removed it.
///
/// # Errors
/// Any database error.
pub async fn remove_video(db: &DatabaseTransaction, video: &video::Model) -> Result<Option<(Vec<String>, i64)>, DbErr> {
    let tasks = of_video(db, video).await?;
    if tasks.is_empty() {
        return Ok(None);
    }
    let (mut keys, mut events) = (Vec::new(), Vec::new());
    for task in &tasks {
        if let Some(removed) = remove_rows(db, task).await? {
            let Removed { keys: of_task, event } = removed;
            keys.extend(of_task);
            events.push(event);
        }
    }
    events.push(Event::of_video(EventType::VideoDeleted, video)?);
    event::append(db, events).await?;
    let seq = library_change::append(db, &[Subject::Video(video.id)]).await?;
    Ok(Some((keys, seq)))
}

/// Number of sources in one query.
const PAGE: u64 = 500;

/// Creates the missing videos of sources with ids above `after`. Returns their number, and the id of the last source.
///
/// # Errors
/// Any database error.
pub async fn create_missing_videos(db: &DatabaseConnection, mut after: i64) -> Result<(u64, i64), DbErr> {
    let mut created = 0;
    loop {
        let sources = source::Entity::find()
            .filter(source::Column::Id.gt(after))
            .order_by_asc(source::Column::Id)
            .limit(PAGE);
        let sources = sources.all(db).await?;
        let Some(last) = sources.last() else {
            return Ok((created, after));
        };
        after = last.id;
        let ids = sources.iter().map(|source| source.id);
        let with_video: Vec<i64> = video::Entity::find()
            .select_only()
            .column(video::Column::SourceId)
            .filter(video::Column::SourceId.is_in(ids))
            .into_tuple()
            .all(db)
            .await?;
        for source in sources.iter().filter(|source| !with_video.contains(&source.id)) {
            created += u64::from(create_for(db, source).await?);
        }
    }
}

/// Creates the video of a source. Returns `false` if it exists by now, or if the source has no task left.
async fn create_for(db: &DatabaseConnection, source: &source::Model) -> Result<bool, DbErr> {
    let owner = UserId(source.user_id);
    user::write(db, owner, async |db| {
        let first = Entity::find()
            .filter(Column::SourceId.eq(source.id))
            .order_by_asc(Column::Id);
        let Some(first) = first.one(db).await? else {
            return Ok(false);
        };
        if video::of_source(db, source.id).await?.is_some() {
            return Ok(false);
        }
        let video = video::create(db, owner, source.id, title_of_file(&first.display_name)).await?;
        event::append(db, vec![Event::of_video(EventType::VideoCreated, &video)?]).await?;
        library_change::append(db, &[Subject::Video(video.id)]).await?;
        Ok(true)
    })
    .await
}
