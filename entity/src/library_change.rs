//! Table `library_changes`: the log of changes to videos and accounts. A row names what has changed, not how: a reader
//! reads the present rows of the subject. `log.rs` explains why a position is a single number.
//!
//! Each row has a random token. A reader keeps the token of the last row that it has applied, and finds the same row at
//! its position. Otherwise the database is another one, was restored from a backup, or has deleted the row since
//! ([`trim`]), and the reader fills its catalog again.

use crate::log::{Log, lock_appends};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, QueryOrder, QuerySelect};
use std::time::Duration;
use uuid::Uuid;

/// A change of a video or an account.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "library_changes")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub seq: i64,
    pub subject: SubjectKind,
    pub subject_id: i64,
    pub token: i64,
    pub at_ms: i64,
}

/// The kind of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum SubjectKind {
    /// A row of `videos`, also one that has been deleted.
    Video,
    /// A row of `users`.
    Account,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The subject of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The id of a video.
    Video(i64),
    /// The id of an account.
    Account(i64),
}

/// The place of a reader: the last row that it has applied. The log always has a row, so each position names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Number of the row.
    pub seq: i64,
    /// Token of the row.
    pub token: i64,
}

/// The result of [`after`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Following {
    /// The next rows, none if there are none.
    Rows(Vec<Model>),
    /// The row of the position is not in this database: the reader must begin anew.
    Lost,
}

/// Appends changes and returns the number of the last one; 0 without changes. This is the last call of a transaction
/// that takes a lock (see `log.rs`).
///
/// # Errors
/// Any database error.
pub async fn append(db: &DatabaseTransaction, subjects: &[Subject]) -> Result<i64, DbErr> {
    let mut seq = 0;
    if subjects.is_empty() {
        return Ok(seq);
    }
    lock_appends(db, Log::LibraryChanges).await?;
    for subject in subjects {
        let (subject, subject_id) = match *subject {
            Subject::Video(id) => (SubjectKind::Video, id),
            Subject::Account(id) => (SubjectKind::Account, id),
        };
        let row = ActiveModel {
            seq: NotSet,
            subject: Set(subject),
            subject_id: Set(subject_id),
            token: Set(random_token()),
            at_ms: Set(crate::now().timestamp_millis()),
        };
        seq = row.insert(db).await?.seq;
    }
    Ok(seq)
}

/// A random positive number.
fn random_token() -> i64 {
    let (_, low) = Uuid::new_v4().as_u64_pair();
    i64::try_from(low >> 1).unwrap_or(0)
}

/// The rows after a position in order, at most `limit`.
///
/// # Errors
/// Any database error.
pub async fn after(db: &impl ConnectionTrait, position: Position, limit: u64) -> Result<Following, DbErr> {
    let rows = Entity::find()
        .filter(Column::Seq.gte(position.seq))
        .order_by_asc(Column::Seq)
        .limit(limit.saturating_add(1));
    let mut rows = rows.all(db).await?;
    let is_known = rows
        .first()
        .is_some_and(|row| row.seq == position.seq && row.token == position.token);
    Ok(if is_known {
        Following::Rows(rows.split_off(1))
    } else {
        Following::Lost
    })
}

/// The position of the newest row. Every change that is not visible yet gets a greater number.
///
/// # Errors
/// Any database error.
pub async fn newest(db: &DatabaseTransaction) -> Result<Position, DbErr> {
    lock_appends(db, Log::LibraryChanges).await?;
    let newest = Entity::find().order_by_desc(Column::Seq).one(db).await?;
    let newest = newest.ok_or_else(|| DbErr::RecordNotFound("the first row of library_changes".to_owned()))?;
    Ok(newest.position())
}

/// Deletes the rows that are older than `age`, except the newest of them: a reader may stand there. Returns their
/// number.
///
/// # Errors
/// Any database error.
pub async fn trim(db: &impl ConnectionTrait, age: Duration) -> Result<u64, DbErr> {
    let before = crate::now().timestamp_millis().saturating_sub(crate::millis(age));
    let newest: Option<i64> = Entity::find()
        .select_only()
        .column(Column::Seq)
        .filter(Column::AtMs.lt(before))
        .order_by_desc(Column::Seq)
        .into_tuple()
        .one(db)
        .await?;
    let Some(newest) = newest else { return Ok(0) };
    let old = Entity::delete_many().filter(Column::Seq.lt(newest));
    Ok(old.exec(db).await?.rows_affected)
}

impl Model {
    /// The position of a reader that has applied this row and all before it.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position {
            seq: self.seq,
            token: self.token,
        }
    }

    /// The subject of the change.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        match self.subject {
            SubjectKind::Video => Subject::Video(self.subject_id),
            SubjectKind::Account => Subject::Account(self.subject_id),
        }
    }
}
