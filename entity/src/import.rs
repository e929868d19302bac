//! Table `imports`: manifests of many videos or changes, and how far each has come. `import_row.rs` has their rows.
//!
//! *Problem.* A manifest has up to millions of rows. The process that works on it may die at any point. Each row must
//! end in exactly one state, and no row may have an effect twice.
//!
//! *Mechanism.* A worker takes the import that waits longest by a lease ([`crate::lease`], [`take_due`]) for one step.
//! It first copies the rows of the file into `import_rows`, some thousands at a time. The transaction that inserts rows
//! also records the byte at which the next one begins ([`ImportLease::stage`]), so another worker goes on there. Then
//! it applies the rows. The transaction of the effect of a row also changes its state.
//!
//! *Invariants.*
//! - Each write of a worker has the condition that it holds the import, and that the import has not ended.
//! - The counts of an import change in the transaction that changes its rows ([`ImportLease::add`],
//!   [`crate::import_row`]). So their sum is the number of the rows that were read, at every moment.
//!
//! *Rejected.* A lease for each group of rows: one worker applies rows as fast as the files of videos arrive. A job for
//! each row in the queue: the queue holds nothing that may not be lost.

mod lease;
mod retention;

pub use lease::{Checkpoint, ImportLease, LookupCounts, take_due};
pub use retention::{Removable, expire, outdated, removable, remove};

use crate::dataset::Version;
use domain::UserId;
use domain::manifest::{ImportStatus, Kind, RowStatus};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, ExprTrait, QueryOrder, QuerySelect, UpdateMany};

/// An import.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "imports")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    /// [`Kind`] as text.
    pub kind: String,
    pub status: Status,
    /// Rows are checked, and have no effect.
    pub is_dry_run: bool,
    pub file_name: String,
    /// Storage key of the manifest; empty when it is removed.
    pub key: String,
    pub sha256: String,
    pub bytes: i64,
    /// The hash of the file, the kind and the options: the same import again is not begun again. `None` where the
    /// client asked for that.
    pub dedup: Option<String>,
    /// The dataset that is loaded; its id in [`crate::dataset`].
    pub dataset_id: Option<i64>,
    /// The columns of the dataset when the import began.
    pub dataset_columns: Option<Json>,
    /// Format and packing of the file, once its head was read.
    pub layout: Option<Json>,
    /// The unpacked byte at which the next row begins.
    pub byte: i64,
    /// The line of this byte, from 1.
    pub line: i64,
    /// Number of rows that were read.
    pub rows_read: i64,
    /// All rows were read.
    pub is_staged: bool,
    pub pending: i64,
    pub working: i64,
    pub created: i64,
    pub updated: i64,
    pub duplicate: i64,
    pub error: i64,
    /// The worker that may write: the fencing token.
    pub holder: Option<String>,
    /// End of its lease, on the database clock.
    pub until_ms: i64,
    /// The next step begins after this time, on the database clock.
    pub run_at_ms: i64,
    /// Number of steps in a row that failed for a reason that may pass.
    pub failures: i32,
    pub error_code: Option<String>,
    pub error_detail: Option<String>,
    pub created_at: ChronoDateTimeUtc,
    pub finished_at: Option<ChronoDateTimeUtc>,
    /// Its owner has removed it; its rows are being removed.
    pub is_removed: bool,
    /// Its rows and its file are removed, or are being removed, because it ended long ago.
    pub is_expired: bool,
    /// Points of rows up to this one were looked up; `None` if rows are not looked up.
    pub lookup_row: Option<i64>,
    /// A row whose lookup fails has an error.
    pub lookup_required: bool,
    /// Number of steps in a row that waited for the lookup service.
    pub lookup_waits: i64,
    pub lookup_found: i64,
    pub lookup_no_data: i64,
    pub lookup_failed: i64,
}

/// [`ImportStatus`] as a text column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[allow(missing_docs, reason = "see `ImportStatus`")]
pub enum Status {
    Received,
    Staging,
    Running,
    Done,
    DoneWithErrors,
    Failed,
    Canceled,
}

/// The statuses of imports that have not ended.
pub(crate) const OPEN: [Status; 3] = [Status::Received, Status::Staging, Status::Running];

/// The statuses of imports that begin no further row, although some may be `working`.
const CLOSED: [Status; 2] = [Status::Failed, Status::Canceled];

impl From<Status> for ImportStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Received => Self::Received,
            Status::Staging => Self::Staging,
            Status::Running => Self::Running,
            Status::Done => Self::Done,
            Status::DoneWithErrors => Self::DoneWithErrors,
            Status::Failed => Self::Failed,
            Status::Canceled => Self::Canceled,
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The account that began the import.
    #[must_use]
    pub const fn owner(&self) -> UserId {
        UserId(self.user_id)
    }

    /// The rows of a dataset that it loads.
    #[must_use]
    pub fn loads(&self) -> Option<Version> {
        let version = self.id;
        self.dataset_id.map(|dataset| Version { dataset, version })
    }

    /// The import has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        !OPEN.contains(&self.status)
    }

    /// The import waits for the lookup service.
    #[must_use]
    pub fn is_waiting_for_lookup(&self) -> bool {
        self.lookup_waits > 0 && !self.has_ended()
    }

    /// The number of rows in a state.
    #[must_use]
    pub const fn count(&self, status: RowStatus) -> i64 {
        match status {
            RowStatus::Pending => self.pending,
            RowStatus::Working => self.working,
            RowStatus::Created => self.created,
            RowStatus::Updated => self.updated,
            RowStatus::Duplicate => self.duplicate,
            RowStatus::Error => self.error,
        }
    }
}

/// The column that counts the rows in a state.
pub(crate) const fn column(status: RowStatus) -> Column {
    match status {
        RowStatus::Pending => Column::Pending,
        RowStatus::Working => Column::Working,
        RowStatus::Created => Column::Created,
        RowStatus::Updated => Column::Updated,
        RowStatus::Duplicate => Column::Duplicate,
        RowStatus::Error => Column::Error,
    }
}

/// The values of a new import.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "explained by the columns")]
pub struct New {
    pub kind: Kind,
    pub is_dry_run: bool,
    pub file_name: String,
    pub key: String,
    pub sha256: String,
    pub bytes: u64,
    pub dedup: Option<String>,
    pub dataset_id: Option<i64>,
    pub dataset_columns: Option<Json>,
    /// Look up the points of rows.
    pub looks_up: bool,
    pub lookup_required: bool,
}

/// Inserts an import. Call it in [`crate::user::write`]. For a `dedup` that another import of the account has, the
/// error satisfies [`crate::is_duplicate`].
///
/// # Errors
/// Any database error.
pub async fn create(db: &DatabaseTransaction, user: UserId, new: New) -> Result<Model, DbErr> {
    let row = ActiveModel {
        id: NotSet,
        user_id: Set(user.0),
        kind: Set(new.kind.to_string()),
        status: Set(Status::Received),
        is_dry_run: Set(new.is_dry_run),
        file_name: Set(new.file_name),
        key: Set(new.key),
        sha256: Set(new.sha256),
        bytes: Set(i64::try_from(new.bytes).unwrap_or(i64::MAX)),
        dedup: Set(new.dedup),
        dataset_id: Set(new.dataset_id),
        dataset_columns: Set(new.dataset_columns),
        layout: Set(None),
        byte: Set(0),
        line: Set(1),
        rows_read: Set(0),
        is_staged: Set(false),
        pending: Set(0),
        working: Set(0),
        created: Set(0),
        updated: Set(0),
        duplicate: Set(0),
        error: Set(0),
        holder: Set(None),
        until_ms: Set(0),
        run_at_ms: Set(0),
        failures: Set(0),
        error_code: Set(None),
        error_detail: Set(None),
        created_at: Set(crate::now()),
        finished_at: Set(None),
        is_removed: Set(false),
        is_expired: Set(false),
        lookup_row: Set(new.looks_up.then_some(0)),
        lookup_required: Set(new.lookup_required),
        lookup_waits: Set(0),
        lookup_found: Set(0),
        lookup_no_data: Set(0),
        lookup_failed: Set(0),
    };
    row.insert(db).await
}

/// The import of the account with this `dedup`.
///
/// # Errors
/// Any database error.
pub async fn same(db: &impl ConnectionTrait, user: UserId, dedup: &str) -> Result<Option<Model>, DbErr> {
    let mine = Entity::find().filter(Column::UserId.eq(user.0));
    mine.filter(Column::Dedup.eq(dedup)).one(db).await
}

/// Lets the same file be imported again. Call it in [`crate::user::write`].
///
/// # Errors
/// Any database error.
pub async fn forget_same(db: &DatabaseTransaction, id: i64) -> Result<(), DbErr> {
    let update = Entity::update_many().filter(Column::Id.eq(id));
    let update = update.col_expr(Column::Dedup, Expr::value(Option::<String>::None));
    update.exec(db).await.map(drop)
}

/// The import of the account with this id.
///
/// # Errors
/// Any database error.
pub async fn of_user(db: &impl ConnectionTrait, user: UserId, id: i64) -> Result<Option<Model>, DbErr> {
    let mine = Entity::find_by_id(id).filter(Column::UserId.eq(user.0));
    mine.filter(Column::IsRemoved.eq(false)).one(db).await
}

/// Imports of the account with ids below `before`, the newest first.
///
/// # Errors
/// Any database error.
pub async fn list(
    db: &impl ConnectionTrait,
    user: UserId,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let mine = Entity::find().filter(Column::UserId.eq(user.0));
    let mine = match before {
        Some(before) => mine.filter(Column::Id.lt(before)),
        None => mine,
    };
    let mine = mine.filter(Column::IsRemoved.eq(false));
    mine.order_by_desc(Column::Id).limit(limit).all(db).await
}

/// The number of imports of the account that have not ended.
///
/// # Errors
/// Any database error.
pub async fn count_open(db: &impl ConnectionTrait, user: UserId) -> Result<u64, DbErr> {
    let mine = Entity::find().filter(Column::UserId.eq(user.0));
    mine.filter(Column::Status.is_in(OPEN)).count(db).await
}

/// The number of imports that have not ended, by status, and the creation time of the oldest.
///
/// # Errors
/// Any database error.
pub async fn open(db: &impl ConnectionTrait) -> Result<Vec<(ImportStatus, i64, ChronoDateTimeUtc)>, DbErr> {
    let rows = Entity::find()
        .select_only()
        .column(Column::Status)
        .column_as(Column::Id.count(), "count")
        .column_as(Column::CreatedAt.min(), "oldest")
        .filter(Column::Status.is_in(OPEN))
        .group_by(Column::Status);
    let rows: Vec<(Status, i64, ChronoDateTimeUtc)> = rows.into_tuple().all(db).await?;
    let row = |(status, count, oldest): (Status, _, _)| (status.into(), count, oldest);
    Ok(rows.into_iter().map(row).collect())
}

/// Cancels an import. Rows that are `working` end by themselves. Returns `false` if it has ended.
///
/// # Errors
/// Any database error.
pub async fn cancel(db: &impl ConnectionTrait, id: i64) -> Result<bool, DbErr> {
    let open = Entity::update_many()
        .filter(Column::Id.eq(id))
        .filter(Column::Status.is_in(OPEN));
    let canceled = ended(open, Status::Canceled).exec(db).await?;
    Ok(canceled.rows_affected == 1)
}

/// Lets an ended import run again, whose rows in `error` were set back. `lookups` of them are looked up again. Call it
/// in [`crate::user::write`].
///
/// # Errors
/// Any database error.
pub async fn reopen(db: &DatabaseTransaction, id: i64, rows: u64, lookups: u64) -> Result<(), DbErr> {
    let update = Entity::update_many()
        .filter(Column::Id.eq(id))
        .col_expr(Column::Status, Expr::value(Status::Running))
        .col_expr(Column::FinishedAt, Expr::value(Option::<ChronoDateTimeUtc>::None))
        .col_expr(Column::Failures, Expr::value(0))
        .col_expr(Column::RunAtMs, Expr::value(0_i64));
    let update = shift(update, RowStatus::Error, RowStatus::Pending, rows);
    let update = if lookups > 0 {
        let failed = Expr::col(Column::LookupFailed).sub(i64::try_from(lookups).unwrap_or(i64::MAX));
        update
            .col_expr(Column::LookupRow, Expr::value(0_i64))
            .col_expr(Column::LookupFailed, failed)
    } else {
        update
    };
    update.exec(db).await.map(drop)
}

/// Changes the counts for rows that have gone from one state to another.
pub(crate) fn shift(update: UpdateMany<Entity>, from: RowStatus, to: RowStatus, rows: u64) -> UpdateMany<Entity> {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    let changed = |status, by: i64| Expr::col(column(status)).add(by);
    update
        .col_expr(column(from), changed(from, -rows))
        .col_expr(column(to), changed(to, rows))
}

/// The end of an import.
fn ended(update: UpdateMany<Entity>, status: Status) -> UpdateMany<Entity> {
    update
        .col_expr(Column::Status, Expr::value(status))
        .col_expr(Column::FinishedAt, Expr::value(crate::now()))
        .col_expr(Column::Holder, Expr::value(Option::<String>::None))
}
