//! Tasks with their sources and outputs, as clients see them.

use super::{Column, Entity, Model, TaskStatus};
use crate::{output, source, video};
use domain::{TaskId, UserId, VideoId};
use sea_orm::entity::prelude::*;
use sea_orm::{FromQueryResult, JoinType, QueryOrder, QueryResult, QuerySelect, RelationTrait};
use std::collections::HashMap;

/// A task with everything that a client sees of it.
#[derive(Clone, Debug)]
pub struct TaskDetails {
    /// The row of the task.
    pub task: Model,
    /// Its source.
    pub source: source::Model,
    /// Its video; `None` until the source has one.
    pub video: Option<VideoId>,
    /// Its outputs, the main one first; empty until the task is processed.
    pub outputs: Vec<output::Model>,
}

/// The tasks that exist and belong to the account that they are wanted for.
///
/// A first statement reads tasks, sources and the ids of videos, a second one the outputs of the processed tasks.
/// Nothing is half read: the outputs of a task are created in the transaction that sets it to processed, at least one,
/// and never change. So a processed task without outputs was removed between the two statements, and is left out.
///
/// # Errors
/// Any database error.
pub async fn details(
    db: &impl ConnectionTrait,
    wanted: &[(UserId, TaskId)],
) -> Result<HashMap<(UserId, TaskId), TaskDetails>, DbErr> {
    let ids = wanted.iter().map(|(_, task)| task.0).collect();
    let query = Entity::find()
        .filter(Column::Id.is_in(padded(ids)))
        .find_also_related(source::Entity)
        .join_rev(JoinType::LeftJoin, video::Relation::Source.def())
        .column_as(video::Column::Id, VIDEO_ID)
        .into_model::<WithVideo, source::Model>();
    let mut found = HashMap::new();
    for (WithVideo { task, video }, source) in query.all(db).await? {
        if let Some(source) = source
            && wanted.contains(&(task.owner(), task.task_id()))
        {
            let details = TaskDetails {
                task,
                source,
                video,
                outputs: Vec::new(),
            };
            found.insert(details.task.id, details);
        }
    }
    let is_processed = |details: &TaskDetails| details.task.status == TaskStatus::Processed;
    let processed: Vec<i64> = found
        .values()
        .filter(|one| is_processed(one))
        .map(|one| one.task.id)
        .collect();
    if !processed.is_empty() {
        let query = output::Entity::find()
            .filter(output::Column::TaskId.is_in(padded(processed)))
            .order_by_asc(output::Column::Position);
        for output in query.all(db).await? {
            if let Some(details) = found.get_mut(&output.task_id) {
                details.outputs.push(output);
            }
        }
    }
    found.retain(|_, details| !is_processed(details) || !details.outputs.is_empty());
    let by_owner = found
        .into_values()
        .map(|details| ((details.task.owner(), details.task.task_id()), details));
    Ok(by_owner.collect())
}

/// The column with the id of the video.
const VIDEO_ID: &str = "video_id";

/// A task with the id of its video.
struct WithVideo {
    task: Model,
    video: Option<VideoId>,
}

impl FromQueryResult for WithVideo {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        let id: Option<i64> = row.try_get("", VIDEO_ID)?;
        Ok(Self {
            task: Model::from_query_result(row, prefix)?,
            video: id.map(VideoId),
        })
    }
}

/// Repeats the first id until their number is a power of two. So there are few different SQL texts, and the databases
/// keep them prepared.
fn padded(mut ids: Vec<i64>) -> Vec<i64> {
    if let Some(first) = ids.first().copied() {
        ids.resize(ids.len().next_power_of_two(), first);
    }
    ids
}
