//! Ways to a task. All but the worker's are scoped to an account.

use super::{Column, Entity, Model, TaskStatus};
use crate::{output, source};
use domain::recipe::Name;
use domain::recipe_reader::stored;
use domain::{Status, TaskId, UserId};
use sea_orm::entity::prelude::*;
use sea_orm::{DbBackend, DerivePartialModel, FromQueryResult, Order, QueryOrder, QuerySelect, QueryTrait, Statement};
use std::sync::OnceLock;

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

/// A task with all that a client sees of it.
#[derive(Clone, Debug)]
pub struct Whole {
    /// Its row.
    pub task: Model,
    /// Its source.
    pub source: source::Model,
    /// Its outputs, the main one first; none until it is processed.
    pub outputs: Vec<output::Model>,
}

/// The task with this id and all that belongs to it, if it is this account's: one query, for the call that every client
/// repeats while it waits.
///
/// # Errors
/// Those of the database.
pub async fn whole(db: &impl ConnectionTrait, user: UserId, id: TaskId) -> Result<Option<Whole>, DbErr> {
    let backend = db.get_database_backend();
    let query = Statement::from_sql_and_values(backend, whole_sql(backend), [id.0.into(), user.0.into()]);
    // Read by hand: each row repeats the task and its source, whose JSON is not read again for each output.
    let rows = db.query_all_raw(query).await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let outputs = rows
        .iter()
        .filter_map(|row| output::Model::from_query_result_optional(row, "C_").transpose());
    Ok(Some(Whole {
        task: Model::from_query_result(first, "A_")?,
        source: source::Model::from_query_result(first, "B_")?,
        outputs: outputs.collect::<Result<_, _>>()?,
    }))
}

/// The query of [`whole`] for an id and an account. Its text is made once: that takes about as long as the query itself.
fn whole_sql(backend: DbBackend) -> &'static str {
    static SQLITE: OnceLock<String> = OnceLock::new();
    static POSTGRES: OnceLock<String> = OnceLock::new();
    let text = match backend {
        DbBackend::Sqlite => &SQLITE,
        _ => &POSTGRES,
    };
    text.get_or_init(|| {
        let query = Entity::find_by_id(0)
            .filter(Column::UserId.eq(0))
            .find_also_related(source::Entity)
            .find_also_related(output::Entity)
            .order_by_asc(output::Column::Place);
        query.build(backend).sql
    })
}

/// The task with this id and this logical key: for downloads, where a signature or the owner check follows.
///
/// # Errors
/// Those of the database.
pub async fn by_path(db: &impl ConnectionTrait, id: TaskId, file_path: &str) -> Result<Option<Model>, DbErr> {
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
#[derive(Clone, Debug, PartialEq, DerivePartialModel)]
#[sea_orm(entity = "Entity")]
#[allow(missing_docs, reason = "as in the row")]
pub struct Line {
    pub id: i64,
    pub status: TaskStatus,
    pub timestamp: ChronoDateTimeUtc,
    pub display_name: String,
    pub preset: Option<String>,
    pub progress: Option<Json>,
    pub finished_at: Option<ChronoDateTimeUtc>,
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
        .into_partial_model()
        .all(db)
        .await
}

/// The images that tasks of an account name which are not finished.
///
/// # Errors
/// Those of the database.
pub(crate) async fn images_in_use(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<Name>, DbErr> {
    let open = [TaskStatus::Uploaded, TaskStatus::Processing];
    let query = Entity::find()
        .select_only()
        .column(Column::Recipe)
        .filter(Column::UserId.eq(user.0))
        .filter(Column::Status.is_in(open));
    let recipes: Vec<Json> = query.into_tuple().all(db).await?;
    let recipes = recipes.into_iter().filter_map(|recipe| stored(recipe).ok());
    Ok(recipes
        .flat_map(|recipe| {
            recipe
                .images()
                .into_iter()
                .map(|(_, name)| name.clone())
                .collect::<Vec<_>>()
        })
        .collect())
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
