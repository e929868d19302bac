//! Ways to a task. All but the worker's are scoped to an account.

use super::{Column, Entity, Model, TaskStatus};
use crate::source;
use chrono::{DateTime, Utc};
use domain::{Status, TaskId, UserId};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::SimpleExpr;
use sea_orm::{DbBackend, FromQueryResult, Order, QueryOrder, QuerySelect};

/// The task with this id, for the worker that rang for it.
///
/// # Errors
/// Those of the database.
pub async fn by_id(db: &impl ConnectionTrait, id: TaskId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id.0).one(db).await
}

/// The task with this id, if it is this account's.
///
/// # Errors
/// Those of the database.
pub async fn of_user(db: &impl ConnectionTrait, user: UserId, id: TaskId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id.0).filter(Column::UserId.eq(user.0)).one(db).await
}

/// As [`of_user`], with its source, in one statement: a removal between two would leave a task without one.
///
/// # Errors
/// Those of the database.
pub async fn with_source(
    db: &impl ConnectionTrait,
    user: UserId,
    id: TaskId,
) -> Result<Option<(Model, source::Model)>, DbErr> {
    let mine = Entity::find_by_id(id.0).filter(Column::UserId.eq(user.0));
    let found = mine.find_also_related(source::Entity).one(db).await?;
    Ok(found.and_then(|(task, source)| Some((task, source?))))
}

/// The task with this id and this logical key: for downloads, where a signature or the owner check follows.
///
/// # Errors
/// Those of the database.
pub async fn by_path(db: &impl ConnectionTrait, id: TaskId, file_path: &str) -> Result<Option<Model>, DbErr> {
    if file_path.contains('\0') {
        // No path of ours has a zero, and Postgres takes no such text.
        return Ok(None);
    }
    let with_ending = format!("{file_path}.mp4");
    let named = Column::FilePath.is_in([file_path, &with_ending]);
    Entity::find_by_id(id.0).filter(named).one(db).await
}

/// Which tasks of an account to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    /// Only these.
    pub status: Option<Status>,
    /// Only those behind this id, in the order asked.
    pub after: Option<TaskId>,
    /// Largest id first.
    pub descending: bool,
    /// At most this many.
    pub limit: Option<u64>,
}

/// A task in a list.
#[derive(Clone, Debug, PartialEq, FromQueryResult)]
#[allow(missing_docs, reason = "as in the row")]
pub struct Line {
    pub id: i64,
    pub status: TaskStatus,
    pub timestamp: ChronoDateTimeUtc,
    pub display_name: String,
    pub preset: Option<String>,
    pub progress: Option<Json>,
    pub finished_at: Option<ChronoDateTimeUtc>,
    /// How many warnings its report has.
    pub warnings: i32,
}

impl Line {
    const COLUMNS: [Column; 7] = [
        Column::Id,
        Column::Status,
        Column::Timestamp,
        Column::DisplayName,
        Column::Preset,
        Column::Progress,
        Column::FinishedAt,
    ];

    /// The warnings of a report, counted by the database: reports are long, and lists have a thousand lines.
    fn warnings(backend: DbBackend) -> SimpleExpr {
        Expr::cust(if backend == DbBackend::Sqlite {
            "COALESCE(json_array_length(report, '$.warnings'), 0)"
        } else {
            "CASE jsonb_typeof(report::jsonb -> 'warnings') WHEN 'array' \
             THEN jsonb_array_length(report::jsonb -> 'warnings') ELSE 0 END"
        })
    }
}

/// The tasks of an account, by id.
///
/// # Errors
/// Those of the database.
pub async fn list(db: &impl ConnectionTrait, user: UserId, page: Page) -> Result<Vec<Line>, DbErr> {
    let mut query = Entity::find().filter(Column::UserId.eq(user.0));
    if let Some(status) = page.status {
        query = query.filter(Column::Status.eq(TaskStatus::from(status)));
    }
    if let Some(TaskId(after)) = page.after {
        query = query.filter(if page.descending {
            Column::Id.lt(after)
        } else {
            Column::Id.gt(after)
        });
    }
    let order = if page.descending { Order::Desc } else { Order::Asc };
    query
        .order_by(Column::Id, order)
        .limit(page.limit)
        .select_only()
        .columns(Line::COLUMNS)
        .expr_as(Line::warnings(db.get_database_backend()), "warnings")
        .into_model()
        .all(db)
        .await
}

/// How many tasks stand where, over all accounts; statuses without a task are absent.
///
/// # Errors
/// Those of the database.
pub async fn count_by_status(db: &impl ConnectionTrait) -> Result<Vec<(Status, i64)>, DbErr> {
    let query = Entity::find()
        .select_only()
        .column(Column::Status)
        .column_as(Column::Id.count(), "count");
    let rows: Vec<(TaskStatus, i64)> = query.group_by(Column::Status).into_tuple().all(db).await?;
    Ok(rows.into_iter().map(|(status, count)| (status.into(), count)).collect())
}

/// When the task that has waited longest was uploaded, of those that are due now; `None` when none waits.
///
/// # Errors
/// Those of the database.
pub async fn oldest_waiting(db: &impl ConnectionTrait) -> Result<Option<DateTime<Utc>>, DbErr> {
    let waiting = Entity::find()
        .select_only()
        .column_as(Column::Timestamp.min(), "oldest")
        .filter(Column::Status.eq(TaskStatus::Uploaded))
        .filter(Column::RunAtMs.lte(Utc::now().timestamp_millis()));
    let oldest: Option<Option<DateTime<Utc>>> = waiting.into_tuple().one(db).await?;
    Ok(oldest.flatten())
}

impl From<Status> for TaskStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Uploaded => Self::Uploaded,
            Status::Processing => Self::Processing,
            Status::Processed => Self::Processed,
            Status::Failed => Self::Failed,
            Status::Canceled => Self::Canceled,
        }
    }
}
