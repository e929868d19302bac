//! Tasks with their sources and outputs, as clients see them.

use super::{Column, Entity, Model};
use crate::{output, source, video};
use domain::{TaskId, UserId, VideoId};
use sea_orm::entity::prelude::*;
use sea_orm::{FromQueryResult, JoinType, QueryOrder, QuerySelect, QueryTrait, RelationTrait};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

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

/// The tasks that exist and belong to the account that they are wanted for, read in one statement.
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
        .find_also_related(output::Entity)
        .join_rev(JoinType::LeftJoin, video::Relation::Source.def())
        .column_as(video::Column::Id, VIDEO_ID)
        .order_by_asc(output::Column::Position);
    let mut found: HashMap<_, TaskDetails> = HashMap::new();
    for row in db.query_all(&query.into_query()).await? {
        let id = |column: &str| row.try_get::<i64>(TASK, column);
        let key = (UserId(id("user_id")?), TaskId(id("id")?));
        // Each row has an output, and repeats the rest.
        let details = match found.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(TaskDetails {
                task: Model::from_query_result(&row, TASK)?,
                source: source::Model::from_query_result(&row, SOURCE)?,
                video: row.try_get::<Option<i64>>("", VIDEO_ID)?.map(VideoId),
                outputs: Vec::new(),
            }),
        };
        let output = output::Model::from_query_result_optional(&row, OUTPUT)?;
        details.outputs.extend(output);
    }
    found.retain(|key, _| wanted.contains(key));
    Ok(found)
}

/// The prefixes of the columns of the tables in a statement with several.
const TASK: &str = "A_";
const SOURCE: &str = "B_";
const OUTPUT: &str = "C_";
/// The column with the id of the video.
const VIDEO_ID: &str = "video_id";

/// Repeats the first id until their number is a power of two. So there are few different SQL texts, and the databases
/// keep them prepared.
fn padded(mut ids: Vec<i64>) -> Vec<i64> {
    if let Some(first) = ids.first().copied() {
        ids.resize(ids.len().next_power_of_two(), first);
    }
    ids
}
