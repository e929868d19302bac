//! Finders of tasks. Those for requests take the account; those for workers, signed links and metrics do not.

use super::{Column, Entity, Model, TaskStatus};
use crate::source;
use chrono::{DateTime, Utc};
use domain::{Status, TaskId, UserId};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::SimpleExpr;
use sea_orm::{DbBackend, FromQueryResult, Order, QueryOrder, QuerySelect, Select, SelectModel, Selector};

/// The task with this id, of any account.
///
/// # Errors
/// Any database error.
pub async fn by_id(db: &impl ConnectionTrait, id: TaskId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id.0).one(db).await
}

/// The task with this id, if it belongs to the account.
///
/// # Errors
/// Any database error.
pub async fn of_user(db: &impl ConnectionTrait, user: UserId, id: TaskId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id.0).filter(Column::UserId.eq(user.0)).one(db).await
}

/// [`of_user`] with the source, in one statement: between two, a removal could delete the source.
///
/// # Errors
/// Any database error.
pub async fn with_source(
    db: &impl ConnectionTrait,
    user: UserId,
    id: TaskId,
) -> Result<Option<(Model, source::Model)>, DbErr> {
    let mine = Entity::find_by_id(id.0).filter(Column::UserId.eq(user.0));
    let found = mine.find_also_related(source::Entity).one(db).await?;
    Ok(found.and_then(|(task, source)| Some((task, source?))))
}

/// The task with this id and `file_path`, of any account: for downloads, where the caller checks a signature or the
/// owner.
///
/// # Errors
/// Any database error.
pub async fn by_path(db: &impl ConnectionTrait, id: TaskId, file_path: &str) -> Result<Option<Model>, DbErr> {
    if file_path.contains('\0') {
        // Postgres refuses text with a NUL byte, and no stored path contains one.
        return Ok(None);
    }
    let with_extension = format!("{file_path}.mp4");
    let matches = Column::FilePath.is_in([file_path, &with_extension]);
    Entity::find_by_id(id.0).filter(matches).one(db).await
}

/// Filter, order and limit of a list of tasks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    /// Only tasks with this status.
    pub status: Option<Status>,
    /// Only tasks after this id, in the direction of the list: the cursor.
    pub after: Option<TaskId>,
    /// `true`: the newest first; `false`: the oldest first.
    pub descending: bool,
    /// Maximum number of tasks.
    pub limit: Option<u64>,
}

/// A task as a list shows it.
#[derive(Clone, Debug, PartialEq, FromQueryResult)]
#[allow(missing_docs, reason = "columns of the row")]
pub struct TaskSummary {
    pub id: i64,
    pub user_id: i64,
    pub status: TaskStatus,
    pub timestamp: ChronoDateTimeUtc,
    pub display_name: String,
    pub preset: Option<String>,
    pub progress: Option<Json>,
    pub finished_at: Option<ChronoDateTimeUtc>,
    pub error_code: Option<String>,
    /// The URL that gets the events of the task.
    pub webhook_url: Option<String>,
    /// Number of warnings in the report.
    pub warnings: i32,
}

impl TaskSummary {
    const COLUMNS: [Column; 10] = [
        Column::Id,
        Column::UserId,
        Column::Status,
        Column::Timestamp,
        Column::DisplayName,
        Column::Preset,
        Column::Progress,
        Column::FinishedAt,
        Column::ErrorCode,
        Column::WebhookUrl,
    ];

    fn select(db: &impl ConnectionTrait, tasks: Select<Entity>) -> Selector<SelectModel<Self>> {
        tasks
            .select_only()
            .columns(Self::COLUMNS)
            .expr_as(Self::warning_count(db.get_database_backend()), "warnings")
            .into_model()
    }

    /// The number of warnings in the report. The database counts them, because a list may have a thousand tasks and
    /// reports are long.
    fn warning_count(backend: DbBackend) -> SimpleExpr {
        Expr::cust(if backend == DbBackend::Sqlite {
            "COALESCE(json_array_length(report, '$.warnings'), 0)"
        } else {
            "CASE jsonb_typeof(report::jsonb -> 'warnings') WHEN 'array' \
             THEN jsonb_array_length(report::jsonb -> 'warnings') ELSE 0 END"
        })
    }
}

/// The tasks of an account, ordered by id.
///
/// # Errors
/// Any database error.
pub async fn list(db: &impl ConnectionTrait, user: UserId, page: Page) -> Result<Vec<TaskSummary>, DbErr> {
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
    let page = query.order_by(Column::Id, order).limit(page.limit);
    TaskSummary::select(db, page).all(db).await
}

/// A task of any account as a list shows it.
///
/// # Errors
/// Any database error.
pub async fn summary(db: &impl ConnectionTrait, id: TaskId) -> Result<Option<TaskSummary>, DbErr> {
    TaskSummary::select(db, Entity::find_by_id(id.0)).one(db).await
}

/// The progress of a task.
#[derive(Clone, Debug, PartialEq, FromQueryResult)]
#[allow(missing_docs, reason = "columns of the row")]
pub struct TaskProgress {
    pub id: i64,
    pub user_id: i64,
    pub status: TaskStatus,
    pub attempt: i32,
    pub progress: Option<Json>,
}

/// The progress of tasks of any accounts. Removed tasks are missing.
///
/// # Errors
/// Any database error.
pub async fn progress_of(db: &impl ConnectionTrait, tasks: &[TaskId]) -> Result<Vec<TaskProgress>, DbErr> {
    Entity::find()
        .select_only()
        .columns([
            Column::Id,
            Column::UserId,
            Column::Status,
            Column::Attempt,
            Column::Progress,
        ])
        .filter(Column::Id.is_in(tasks.iter().map(|task| task.0)))
        .into_model()
        .all(db)
        .await
}

/// The number of tasks of all accounts by status. A status without tasks is absent.
///
/// # Errors
/// Any database error.
pub async fn count_by_status(db: &impl ConnectionTrait) -> Result<Vec<(Status, i64)>, DbErr> {
    let query = Entity::find()
        .select_only()
        .column(Column::Status)
        .column_as(Column::Id.count(), "count");
    let rows: Vec<(TaskStatus, i64)> = query.group_by(Column::Status).into_tuple().all(db).await?;
    Ok(rows.into_iter().map(|(status, count)| (status.into(), count)).collect())
}

/// Creation time of the oldest task that is due and waits for a worker; `None` when no task does.
///
/// # Errors
/// Any database error.
pub async fn oldest_due_created_at(db: &impl ConnectionTrait) -> Result<Option<DateTime<Utc>>, DbErr> {
    let waiting = Entity::find()
        .select_only()
        .column_as(Column::Timestamp.min(), "oldest")
        .filter(Column::Status.eq(TaskStatus::Uploaded))
        .filter(Column::RunAtMs.lte(Utc::now().timestamp_millis()));
    let oldest: Option<Option<DateTime<Utc>>> = waiting.into_tuple().one(db).await?;
    Ok(oldest.flatten())
}
