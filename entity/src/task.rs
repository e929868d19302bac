//! Table `tasks`: the state machine of the product. Only this module and those below it write a status.
//!
//! ```text
//!  uploaded ──claim──► processing ──succeed──► processed
//!    │ ▲                  │ ├─────fail──────► failed
//!    │ └─fail(retry),     │ └─────cancel────► canceled
//!    │   release, sweep───┘
//!    └────────cancel────────────────────────► canceled
//! ```
//!
//! Every verb is one conditional `UPDATE`. `attempt` only grows; it is the fence: a worker that lost its lease names
//! an attempt that is no longer current, and its write touches no row.

mod claim;
mod claim_next;
mod find;
mod sweep;
mod whole;

pub use claim::{Claim, LEASE, Made};
pub use claim_next::claim_next;
pub use find::{Line, Page, by_id, by_path, count_by_status, list, of_user, oldest_waiting, with_source};
pub use sweep::{Swept, reclaim, release_others, sweep};
pub use whole::{Desk, Whole};

use crate::{RawJson, event, image_use, output, source, trash, user};
use claim::ended;
use domain::{Code, Status, TaskId, UserId};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, IntoActiveModel, QuerySelect};
use std::time::Duration;

/// A source plus a recipe, with a status.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tasks")]
#[allow(missing_docs, reason = "columns say what they are")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    pub source_id: i64,
    /// Logical key `YYYY/MM/DD/{id}_{safe name}`; a path in nobody's file system.
    pub file_path: String,
    /// When it was created.
    pub timestamp: ChronoDateTimeUtc,
    pub status: TaskStatus,
    pub display_name: String,
    pub preset: Option<String>,
    pub recipe: Json,
    /// Number of the latest claim: the fence.
    pub attempt: i32,
    /// Tries that failed.
    pub failures: i32,
    pub run_at_ms: i64,
    pub lease_until_ms: Option<i64>,
    /// The worker of the latest claim.
    pub worker_id: Option<String>,
    pub progress: Option<Json>,
    pub error_code: Option<String>,
    pub error_detail: Option<String>,
    pub report: Option<RawJson>,
    pub started_at: Option<ChronoDateTimeUtc>,
    pub finished_at: Option<ChronoDateTimeUtc>,
    /// Tasks of an account with the same one have the same outputs.
    pub fingerprint: Option<String>,
}

/// [`Status`] as a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[allow(missing_docs, reason = "as in `Status`")]
pub enum TaskStatus {
    #[sea_orm(string_value = "uploaded")]
    Uploaded,
    #[sea_orm(string_value = "processing")]
    Processing,
    #[sea_orm(string_value = "processed")]
    Processed,
    #[sea_orm(string_value = "failed")]
    Failed,
    #[sea_orm(string_value = "canceled")]
    Canceled,
}

impl From<TaskStatus> for Status {
    fn from(status: TaskStatus) -> Self {
        match status {
            TaskStatus::Uploaded => Self::Uploaded,
            TaskStatus::Processing => Self::Processing,
            TaskStatus::Processed => Self::Processed,
            TaskStatus::Failed => Self::Failed,
            TaskStatus::Canceled => Self::Canceled,
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::source::Entity",
        from = "Column::SourceId",
        to = "super::source::Column::Id"
    )]
    Source,
    #[sea_orm(has_many = "super::output::Entity")]
    Outputs,
}

impl Related<source::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Source.def()
    }
}

impl Related<output::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Outputs.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Its typed id.
    #[must_use]
    pub const fn task_id(&self) -> TaskId {
        TaskId(self.id)
    }

    /// Its owner.
    #[must_use]
    pub const fn owner(&self) -> UserId {
        UserId(self.user_id)
    }
}

/// A task to be.
#[derive(Clone, Debug)]
pub struct New {
    /// Its source.
    pub source_id: i64,
    /// The file name as its user gave it.
    pub display_name: String,
    /// The same, reduced to characters that are safe in a URL.
    pub safe_name: String,
    /// The preset it was made from.
    pub preset: Option<String>,
    /// The recipe, as checked.
    pub recipe: Json,
}

/// Makes a task, due at once. Call it in [`user::write`], in the transaction that makes or reads its source, its images and
/// its clips.
///
/// # Errors
/// Those of the database.
pub async fn create(db: &DatabaseTransaction, user: UserId, new: New) -> Result<Model, DbErr> {
    let timestamp = crate::now();
    let row = ActiveModel {
        id: NotSet,
        user_id: Set(user.0),
        source_id: Set(new.source_id),
        file_path: Set(String::new()),
        timestamp: Set(timestamp),
        status: Set(TaskStatus::Uploaded),
        display_name: Set(new.display_name),
        preset: Set(new.preset),
        recipe: Set(new.recipe),
        attempt: Set(0),
        failures: Set(0),
        run_at_ms: Set(0),
        ..Default::default()
    };
    let task = row.insert(db).await?;
    let file_path = format!("{}/{}_{}", timestamp.format("%Y/%m/%d"), task.id, new.safe_name);
    let mut named = task.into_active_model();
    named.file_path = Set(file_path);
    let task = named.update(db).await?;
    image_use::create(db, &task).await?;
    event::append(db, task.id, 0, Status::Uploaded).await?;
    Ok(task)
}

/// Makes a new task with the source and the recipe of a finished one, which was read in the same [`user::write`]; the old
/// one stays as it ended.
///
/// # Errors
/// Those of the database.
pub async fn again(db: &DatabaseTransaction, task: &Model) -> Result<Model, DbErr> {
    let safe_name = task
        .file_path
        .rsplit('/')
        .next()
        .and_then(|name| name.split_once('_'))
        .map_or("", |(_, name)| name);
    let new = New {
        source_id: task.source_id,
        display_name: task.display_name.clone(),
        safe_name: safe_name.to_owned(),
        preset: task.preset.clone(),
        recipe: task.recipe.clone(),
    };
    create(db, task.owner(), new).await
}

/// Stops a task that is not finished; its worker notices within two seconds. Call it in a transaction: until its end the
/// task and its source stay. `None`: the task is finished, gone, or not theirs.
///
/// # Errors
/// Those of the database.
pub async fn cancel(db: &DatabaseTransaction, user: UserId, id: TaskId) -> Result<Option<Model>, DbErr> {
    user::lock(db, user).await?;
    let open = [TaskStatus::Uploaded, TaskStatus::Processing];
    let mine = Entity::update_many()
        .filter(Column::Id.eq(id.0))
        .filter(Column::UserId.eq(user.0));
    let update = ended(mine.filter(Column::Status.is_in(open)), TaskStatus::Canceled);
    let Some(task) = update.exec_with_returning(db).await?.pop() else {
        return Ok(None);
    };
    note_end(db, task.id, task.attempt, Status::Canceled).await?;
    Ok(Some(task))
}

/// Writes what follows from a final status, behind the update that set it.
async fn note_end(db: &DatabaseTransaction, task: i64, attempt: i32, status: Status) -> Result<(), DbErr> {
    image_use::remove(db, task).await?;
    event::append(db, task, attempt, status).await
}

/// Removes a task, and its outputs and its source when no other task uses them; call it in a transaction. Their files are
/// on the trash list, due at once; the keys are returned so that they can be removed right away. `None`: another request
/// removed it before.
///
/// # Errors
/// Those of the database.
pub async fn remove(db: &impl ConnectionTrait, task: &Model) -> Result<Option<Vec<String>>, DbErr> {
    // Of two removals at a time, each would otherwise count the other's task among those that need the shared files.
    user::lock(db, task.owner()).await?;
    // A worker that settles the task holds its row until its commit; outputs read before that would not be all.
    let row = Entity::find_by_id(task.id).select_only().column(Column::Id);
    if row.lock_exclusive().into_tuple::<i64>().one(db).await?.is_none() {
        return Ok(None);
    }
    let outputs = output::of_task(db, task.id).await?;
    event::remove(db, task.id).await?;
    Entity::delete_by_id(task.id).exec(db).await?;
    let mut keys = output::unnamed(db, outputs.into_iter().map(|output| output.key).collect()).await?;
    if Entity::find()
        .filter(Column::SourceId.eq(task.source_id))
        .count(db)
        .await?
        == 0
    {
        keys.push(source::of_task(db, task).await?.key);
        source::Entity::delete_by_id(task.source_id).exec(db).await?;
    }
    trash::put(db, &keys, Duration::ZERO).await?;
    Ok(Some(keys))
}

/// The code of the failure that ended or delayed a task.
#[must_use]
pub fn error_code(task: &Model) -> Option<Code> {
    task.error_code.as_deref().and_then(Code::from_word)
}
