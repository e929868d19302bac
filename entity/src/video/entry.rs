//! Videos as the catalogs of the processes hold them.

use super::{Column, Entity, Model};
use crate::{output, source, user};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::SimpleExpr;
use sea_orm::{DbBackend, FromQueryResult, JoinType, QueryOrder, QuerySelect, RelationTrait, Select};
use std::collections::HashMap;

/// A video with the rows that an entry of a catalog is made from.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The video.
    pub video: Model,
    /// Name of its account.
    pub owner: String,
    /// Duration of the source in microseconds, if it has been probed.
    pub source_duration_us: Option<i64>,
    /// The outputs of the task that is shown, the main one first.
    pub outputs: Vec<output::Model>,
}

/// The columns of other tables.
#[derive(FromQueryResult)]
struct Joined {
    video_id: i64,
    owner: String,
    source_duration_us: Option<i64>,
}

/// The entries with ids above `after` in order, at most `limit`.
///
/// # Errors
/// Any database error.
pub async fn entries_after(db: &impl ConnectionTrait, after: i64, limit: u64) -> Result<Vec<Entry>, DbErr> {
    read(
        db,
        Entity::find()
            .filter(Column::Id.gt(after))
            .order_by_asc(Column::Id)
            .limit(limit),
    )
    .await
}

/// The entries with these ids. Videos that have been removed are missing.
///
/// # Errors
/// Any database error.
pub async fn entries_of(db: &impl ConnectionTrait, ids: &[i64]) -> Result<Vec<Entry>, DbErr> {
    read(db, Entity::find().filter(Column::Id.is_in(ids.iter().copied()))).await
}

/// The ids of the videos from `first` to `last`, in order.
///
/// # Errors
/// Any database error.
pub async fn ids_between(db: &impl ConnectionTrait, first: i64, last: i64) -> Result<Vec<i64>, DbErr> {
    let ids = Entity::find().select_only().column(Column::Id);
    let ids = ids.filter(Column::Id.between(first, last)).order_by_asc(Column::Id);
    ids.into_tuple().all(db).await
}

/// Reads videos, then the rows that belong to them. A video whose other rows were removed in between is left out: its
/// removal follows in the log.
async fn read(db: &impl ConnectionTrait, videos: Select<Entity>) -> Result<Vec<Entry>, DbErr> {
    let videos = videos.all(db).await?;
    let ids = videos.iter().map(|video| video.id);
    let joined = Entity::find()
        .select_only()
        .column_as(Column::Id, "video_id")
        .column_as(user::Column::Username, "owner")
        .column_as(source_duration_us(db.get_database_backend()), "source_duration_us")
        .join(JoinType::InnerJoin, super::Relation::Owner.def())
        .join(JoinType::InnerJoin, super::Relation::Source.def())
        .filter(Column::Id.is_in(ids))
        .into_model::<Joined>();
    let joined = joined.all(db).await?.into_iter();
    let mut joined: HashMap<i64, Joined> = joined.map(|row| (row.video_id, row)).collect();
    let tasks = videos.iter().filter_map(|video| video.task_id);
    let shown = output::Entity::find()
        .filter(output::Column::TaskId.is_in(tasks))
        .order_by_asc(output::Column::Position);
    let mut outputs: HashMap<i64, Vec<output::Model>> = HashMap::new();
    for output in shown.all(db).await? {
        outputs.entry(output.task_id).or_default().push(output);
    }
    let entry = |video: Model| {
        let Joined {
            owner,
            source_duration_us,
            ..
        } = joined.remove(&video.id)?;
        let outputs = video.task_id.and_then(|task| outputs.remove(&task)).unwrap_or_default();
        Some(Entry {
            video,
            owner,
            source_duration_us,
            outputs,
        })
    };
    Ok(videos.into_iter().filter_map(entry).collect())
}

/// The duration in the probe of the source.
fn source_duration_us(backend: DbBackend) -> SimpleExpr {
    let probe = (source::Entity, source::Column::Probe);
    Expr::cust_with_expr(
        match backend {
            DbBackend::Sqlite => "json_extract(?, '$.duration_us')",
            _ => "(CAST($1 AS jsonb) ->> 'duration_us')::bigint",
        },
        Expr::col(probe),
    )
}
