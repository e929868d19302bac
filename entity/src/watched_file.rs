//! Table `watched_files`: files of watched folders, each identified by its folder, key, etag and length.
//!
//! ```text
//!  found ──attach──► task ──┐
//!   ▲└─────fail────► failed ┴──aim, moved──► moved
//!   └──────────────────reset───────────────────┘
//! ```
//!
//! A watcher takes a lease ([`crate::lease`]) on the row of a file ([`WatchedFile::take`]) for each step. Each write
//! has the condition that the row is still held. So two watchers of one folder do each step once. The row of a file
//! that was moved stays for some time: the same file does not become a second task.

use crate::lease;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{Condition, DatabaseTransaction, ExprTrait, QueryOrder, QuerySelect};
use std::time::Duration;

/// A file of a watched folder.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "watched_files")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The folder: an absolute directory, or a bucket with prefix and endpoint.
    pub source: String,
    /// The name of the file in the folder.
    pub key: String,
    pub etag: String,
    pub bytes: i64,
    pub state: State,
    /// The task of the file.
    pub task_id: Option<i64>,
    /// The code with which the file was refused.
    pub error_code: Option<String>,
    pub error_detail: Option<String>,
    /// The path in the folder to which the file is moved, recorded before the move.
    pub target: Option<String>,
    /// The watcher that may write: the fencing token.
    pub holder: Option<String>,
    /// End of its lease, on the database clock.
    pub until_ms: i64,
    pub created_at: ChronoDateTimeUtc,
    /// The time at which it was moved, or had vanished.
    pub moved_at: Option<ChronoDateTimeUtc>,
}

impl Model {
    /// The file of the row.
    #[must_use]
    pub fn identity(&self) -> Identity<'_> {
        Identity {
            source: &self.source,
            key: &self.key,
            etag: &self.etag,
            bytes: self.bytes,
        }
    }
}

/// The state of a file, as a text column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum State {
    /// It is to be copied.
    #[sea_orm(string_value = "found")]
    Found,
    /// It has a task.
    #[sea_orm(string_value = "task")]
    Task,
    /// It was refused.
    #[sea_orm(string_value = "failed")]
    Failed,
    /// It was moved away, or has vanished.
    #[sea_orm(string_value = "moved")]
    Moved,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The identity of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "explained by the columns")]
pub struct Identity<'a> {
    pub source: &'a str,
    pub key: &'a str,
    pub etag: &'a str,
    pub bytes: i64,
}

impl Identity<'_> {
    fn matches(&self) -> Condition {
        Condition::all()
            .add(Column::Source.eq(self.source))
            .add(Column::Key.eq(self.key))
            .add(Column::Etag.eq(self.etag))
            .add(Column::Bytes.eq(self.bytes))
    }
}

/// The rows of a folder whose files are not moved yet.
///
/// # Errors
/// Any database error.
pub async fn open(db: &impl ConnectionTrait, source: &str) -> Result<Vec<Model>, DbErr> {
    let rows = Entity::find().filter(Column::Source.eq(source));
    // Not `!=`, for which the index does not leave out the rows of moved files.
    let is_open = Column::State.is_in([State::Found, State::Task, State::Failed]);
    rows.filter(is_open).all(db).await
}

/// Rows of a folder whose files were moved longer ago than `age`, the oldest first.
///
/// # Errors
/// Any database error.
pub async fn long_moved(
    db: &impl ConnectionTrait,
    source: &str,
    age: Duration,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let rows = Entity::find().filter(Column::Source.eq(source));
    let rows = rows.filter(is_long_moved(age));
    rows.order_by_asc(Column::MovedAt).limit(limit).all(db).await
}

/// Deletes those of the rows whose files were moved longer ago than `age`.
///
/// # Errors
/// Any database error.
pub async fn forget_long_moved(db: &impl ConnectionTrait, ids: Vec<i64>, age: Duration) -> Result<(), DbErr> {
    // A row that a watcher holds is that of a file that is here again.
    let rows = Entity::delete_many().filter(Column::Id.is_in(ids));
    let rows = rows.filter(is_long_moved(age)).filter(is_free(db));
    rows.exec(db).await.map(drop)
}

fn is_long_moved(age: Duration) -> Condition {
    Condition::all()
        .add(Column::State.eq(State::Moved))
        .add(Column::MovedAt.lt(crate::now() - age))
}

/// Matches rows that no watcher holds.
fn is_free(db: &impl ConnectionTrait) -> Condition {
    Condition::any()
        .add(Column::Holder.is_null())
        .add(Expr::col(Column::UntilMs).lte(crate::now_ms(db)))
}

/// The row of a file.
///
/// # Errors
/// Any database error.
pub async fn find(db: &impl ConnectionTrait, file: Identity<'_>) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(file.matches()).one(db).await
}

/// Inserts the row of a file, unless there is one.
///
/// # Errors
/// Any database error.
pub async fn insert(db: &impl ConnectionTrait, file: Identity<'_>) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: NotSet,
        source: Set(file.source.to_owned()),
        key: Set(file.key.to_owned()),
        etag: Set(file.etag.to_owned()),
        bytes: Set(file.bytes),
        state: Set(State::Found),
        task_id: Set(None),
        error_code: Set(None),
        error_detail: Set(None),
        target: Set(None),
        holder: Set(None),
        until_ms: Set(0),
        created_at: Set(crate::now()),
        moved_at: Set(None),
    };
    let unique = [Column::Source, Column::Key, Column::Etag, Column::Bytes];
    let insert = Entity::insert(row).on_conflict(OnConflict::columns(unique).do_nothing().to_owned());
    insert.exec_without_returning(db).await.map(drop)
}

/// The right of one watcher to take the next step of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedFile {
    id: i64,
    holder: String,
}

impl WatchedFile {
    /// Takes a row that no other watcher holds. `holder` must be unique to the caller.
    ///
    /// # Errors
    /// Any database error.
    pub async fn take(db: &impl ConnectionTrait, id: i64, holder: String) -> Result<Option<(Self, Model)>, DbErr> {
        let update = Entity::update_many()
            .filter(Column::Id.eq(id))
            .filter(is_free(db))
            .col_expr(Column::Holder, Expr::value(holder.as_str()))
            .col_expr(Column::UntilMs, lease::end(db));
        let taken = update.exec_with_returning(db).await?.pop();
        Ok(taken.map(|row| (Self { id, holder }, row)))
    }

    /// The condition of every write: the row is held by this watcher.
    fn is_held(&self) -> Condition {
        Condition::all()
            .add(Column::Id.eq(self.id))
            .add(Column::Holder.eq(self.holder.as_str()))
    }

    async fn write(&self, db: &impl ConnectionTrait, row: ActiveModel) -> Result<bool, DbErr> {
        let update = Entity::update_many().set(row).filter(self.is_held());
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Renews the lease. Returns `false` if another watcher has the row.
    ///
    /// # Errors
    /// Any database error.
    pub async fn renew(&self, db: &impl ConnectionTrait) -> Result<bool, DbErr> {
        let update = Entity::update_many().filter(self.is_held());
        let renewed = update.col_expr(Column::UntilMs, lease::end(db)).exec(db).await?;
        Ok(renewed.rows_affected == 1)
    }

    /// Releases the row for the next step.
    ///
    /// # Errors
    /// Any database error.
    pub async fn release(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        let row = ActiveModel {
            holder: Set(None),
            ..Default::default()
        };
        self.write(db, row).await.map(drop)
    }

    /// Records the task of the file, in the transaction that creates it. Returns `false` if another watcher has the
    /// row, or if there is a task; the caller must roll back then.
    ///
    /// # Errors
    /// Any database error.
    pub async fn attach(&self, db: &DatabaseTransaction, task: i64) -> Result<bool, DbErr> {
        let row = ActiveModel {
            state: Set(State::Task),
            task_id: Set(Some(task)),
            ..Default::default()
        };
        let update = Entity::update_many().set(row).filter(self.is_held());
        let update = update.filter(Column::State.eq(State::Found));
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Records why the file was refused.
    ///
    /// # Errors
    /// Any database error.
    pub async fn fail(&self, db: &impl ConnectionTrait, code: &str, detail: &str) -> Result<bool, DbErr> {
        let row = ActiveModel {
            state: Set(State::Failed),
            error_code: Set(Some(code.to_owned())),
            error_detail: Set(Some(detail.to_owned())),
            ..Default::default()
        };
        let update = Entity::update_many().set(row).filter(self.is_held());
        let update = update.filter(Column::State.eq(State::Found));
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Lets a file that was refused be copied again.
    ///
    /// # Errors
    /// Any database error.
    pub async fn reset(&self, db: &impl ConnectionTrait) -> Result<bool, DbErr> {
        let row = ActiveModel {
            state: Set(State::Found),
            error_code: Set(None),
            error_detail: Set(None),
            target: Set(None),
            moved_at: Set(None),
            ..Default::default()
        };
        let update = Entity::update_many().set(row).filter(self.is_held());
        let update = update.filter(Column::ErrorCode.is_not_null());
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Records where the file will be moved to, before it is moved.
    ///
    /// # Errors
    /// Any database error.
    pub async fn aim(&self, db: &impl ConnectionTrait, target: &str) -> Result<bool, DbErr> {
        let row = ActiveModel {
            target: Set(Some(target.to_owned())),
            ..Default::default()
        };
        self.write(db, row).await
    }

    /// Records that the file was moved, or has vanished, and releases the row.
    ///
    /// # Errors
    /// Any database error.
    pub async fn moved(&self, db: &impl ConnectionTrait) -> Result<bool, DbErr> {
        let row = ActiveModel {
            state: Set(State::Moved),
            holder: Set(None),
            moved_at: Set(Some(crate::now())),
            ..Default::default()
        };
        self.write(db, row).await
    }

    /// Deletes the row of a file that vanished before it had a task.
    ///
    /// # Errors
    /// Any database error.
    pub async fn forget(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        let rows = Entity::delete_many().filter(self.is_held());
        rows.filter(Column::State.eq(State::Found)).exec(db).await.map(drop)
    }
}
