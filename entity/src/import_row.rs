//! Table `import_rows`: the rows of manifests, each in one state.
//!
//! ```text
//!  pending ──► created | updated | duplicate | error
//!     ▲  └──► working ──► created | duplicate | error        working: the file of a video is on its way
//!     └──────── retry ───────────────────────────┘
//! ```
//!
//! Each change of a state has the condition that the row is in the state before it, and changes the counts of the
//! import in the same transaction.

mod lookups;

pub use lookups::{LookedUp, Waiting, fail_pending, look_up_again, set_lookups, waiting};

use crate::import;
use domain::lookup::LookupStatus;
use domain::manifest::RowStatus;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, DatabaseTransaction, QueryOrder, QuerySelect, UpdateMany};

/// A row of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "import_rows")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub import_id: i64,
    /// The number of the row in the file, from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub row: i64,
    /// The unpacked byte at which it begins.
    pub byte: i64,
    /// The line at which it begins, from 1.
    pub line: i64,
    /// Unique within the import; `None` for a row that was not read, or that repeats another one.
    pub row_key: Option<String>,
    pub status: State,
    /// The field with the error.
    pub field: Option<String>,
    /// The code of the error.
    pub code: Option<String>,
    pub detail: Option<String>,
    /// The values of the file; `None` for a row that could not be read.
    pub fields: Option<Json>,
    /// The upload that fetches the file.
    pub upload_id: Option<String>,
    pub task_id: Option<i64>,
    pub video_id: Option<i64>,
    /// The row of the same import with the same key.
    pub duplicate_of: Option<i64>,
    /// The point that is looked up, as [`domain::lookup::Point`] writes it.
    pub point: Option<String>,
    /// The lookup of the point; `None` if it is not looked up.
    pub lookup: Option<Lookup>,
    /// The answer of the lookup service.
    pub lookup_result: Option<Json>,
    /// The code of the error of the lookup.
    pub lookup_error: Option<String>,
}

/// [`LookupStatus`] as a text column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[allow(missing_docs, reason = "see `LookupStatus`")]
pub enum Lookup {
    Waiting,
    Found,
    NoData,
    Failed,
}

impl Lookup {
    /// The state of a row; `None` is that of a row that is not looked up.
    #[must_use]
    pub const fn status(lookup: Option<Self>) -> LookupStatus {
        match lookup {
            None => LookupStatus::Off,
            Some(Self::Waiting) => LookupStatus::Waiting,
            Some(Self::Found) => LookupStatus::Found,
            Some(Self::NoData) => LookupStatus::NoData,
            Some(Self::Failed) => LookupStatus::Failed,
        }
    }
}

/// [`RowStatus`] as a text column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[allow(missing_docs, reason = "see `RowStatus`")]
pub enum State {
    Pending,
    Working,
    Created,
    Updated,
    Duplicate,
    Error,
}

impl From<State> for RowStatus {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Working => Self::Working,
            State::Created => Self::Created,
            State::Updated => Self::Updated,
            State::Duplicate => Self::Duplicate,
            State::Error => Self::Error,
        }
    }
}

impl From<RowStatus> for State {
    fn from(status: RowStatus) -> Self {
        match status {
            RowStatus::Pending => Self::Pending,
            RowStatus::Working => Self::Working,
            RowStatus::Created => Self::Created,
            RowStatus::Updated => Self::Updated,
            RowStatus::Duplicate => Self::Duplicate,
            RowStatus::Error => Self::Error,
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Rows of one statement. Each connection keeps the statement prepared, which takes some kilobytes a row.
const ROWS_OF_STATEMENT: usize = 200;

/// The end of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "explained by the columns")]
pub struct Ended {
    pub field: Option<String>,
    pub code: Option<String>,
    pub detail: Option<String>,
    pub task_id: Option<i64>,
    pub video_id: Option<i64>,
}

/// Inserts rows. The caller counts them ([`import::ImportLease::stage`]).
///
/// # Errors
/// Any database error.
pub async fn insert(db: &DatabaseTransaction, rows: Vec<Model>) -> Result<(), DbErr> {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let some = rows.by_ref().take(ROWS_OF_STATEMENT).map(active);
        Entity::insert_many(some).exec_without_returning(db).await?;
    }
    Ok(())
}

fn active(row: Model) -> ActiveModel {
    ActiveModel {
        import_id: Set(row.import_id),
        row: Set(row.row),
        byte: Set(row.byte),
        line: Set(row.line),
        row_key: Set(row.row_key),
        status: Set(row.status),
        field: Set(row.field),
        code: Set(row.code),
        detail: Set(row.detail),
        fields: Set(row.fields),
        upload_id: Set(row.upload_id),
        task_id: Set(row.task_id),
        video_id: Set(row.video_id),
        duplicate_of: Set(row.duplicate_of),
        point: Set(row.point),
        lookup: Set(row.lookup),
        lookup_result: Set(row.lookup_result),
        lookup_error: Set(row.lookup_error),
    }
}

/// The rows of an import with one of these keys, with their numbers.
///
/// # Errors
/// Any database error.
pub async fn with_keys(db: &impl ConnectionTrait, import: i64, keys: &[&str]) -> Result<Vec<(String, i64)>, DbErr> {
    let mut found = Vec::new();
    for keys in keys.chunks(ROWS_OF_STATEMENT) {
        let rows = Entity::find().select_only().columns([Column::RowKey, Column::Row]);
        let rows = rows.filter(Column::ImportId.eq(import));
        let rows = rows.filter(Column::RowKey.is_in(keys.iter().copied()));
        found.extend(rows.into_tuple::<(String, i64)>().all(db).await?);
    }
    Ok(found)
}

/// A row of an import.
///
/// # Errors
/// Any database error.
pub async fn find(db: &impl ConnectionTrait, import: i64, row: i64) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id((import, row)).one(db).await
}

/// Rows of an import in a state, in the order of the file.
///
/// # Errors
/// Any database error.
pub async fn in_state(db: &impl ConnectionTrait, import: i64, state: State, limit: u64) -> Result<Vec<Model>, DbErr> {
    let rows = Entity::find().filter(Column::ImportId.eq(import));
    let rows = rows.filter(Column::Status.eq(state)).order_by_asc(Column::Row);
    rows.limit(limit).all(db).await
}

/// Pending rows up to a row, in the order of the file.
///
/// # Errors
/// Any database error.
pub async fn pending(db: &impl ConnectionTrait, import: i64, up_to: i64, limit: u64) -> Result<Vec<Model>, DbErr> {
    let rows = Entity::find().filter(Column::ImportId.eq(import));
    let rows = rows.filter(Column::Status.eq(State::Pending));
    let rows = rows.filter(Column::Row.lte(up_to)).order_by_asc(Column::Row);
    rows.limit(limit).all(db).await
}

/// The rows that a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only rows in this state.
    pub state: Option<State>,
    /// Only rows with this error.
    pub code: Option<String>,
}

/// Rows of an import after a row, in the order of the file.
///
/// # Errors
/// Any database error.
pub async fn after(
    db: &impl ConnectionTrait,
    import: i64,
    filter: &Filter,
    after: i64,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let mut wanted = Condition::all()
        .add(Column::ImportId.eq(import))
        .add(Column::Row.gt(after));
    if let Some(state) = filter.state {
        wanted = wanted.add(Column::Status.eq(state));
    }
    if let Some(code) = &filter.code {
        wanted = wanted.add(Column::Code.eq(code.as_str()));
    }
    let rows = Entity::find().filter(wanted).order_by_asc(Column::Row);
    rows.limit(limit).all(db).await
}

/// The row whose file an upload fetches.
///
/// # Errors
/// Any database error.
pub async fn of_upload(db: &impl ConnectionTrait, upload: &str) -> Result<Option<Model>, DbErr> {
    let rows = Entity::find().filter(Column::UploadId.eq(upload));
    rows.filter(Column::Status.eq(State::Working)).one(db).await
}

fn in_state_of(row: &Model, state: State) -> UpdateMany<Entity> {
    Entity::update_many()
        .filter(Column::ImportId.eq(row.import_id))
        .filter(Column::Row.eq(row.row))
        .filter(Column::Status.eq(state))
}

/// Records that an upload fetches the file of a pending row, in the transaction that creates the upload. Returns
/// `false` if the row is not pending; the caller must roll back then.
///
/// # Errors
/// Any database error.
pub async fn begin(db: &DatabaseTransaction, row: &Model, upload: &str) -> Result<bool, DbErr> {
    let update = in_state_of(row, State::Pending)
        .col_expr(Column::Status, Expr::value(State::Working))
        .col_expr(Column::UploadId, Expr::value(upload));
    move_one(db, row, update, RowStatus::Pending, RowStatus::Working).await
}

/// Ends a row and counts it. Returns `false` if it is not in the state `from`; the caller must roll back then.
///
/// # Errors
/// Any database error.
pub async fn end(
    db: &DatabaseTransaction,
    row: &Model,
    from: RowStatus,
    to: RowStatus,
    ended: Ended,
) -> Result<bool, DbErr> {
    let update = ending(row, from, to, ended);
    move_one(db, row, update, from, to).await
}

/// [`end`] for one of many rows, which the caller counts ([`import::ImportLease::add`]).
///
/// # Errors
/// Any database error.
pub async fn set_end(
    db: &DatabaseTransaction,
    row: &Model,
    from: RowStatus,
    to: RowStatus,
    ended: Ended,
) -> Result<bool, DbErr> {
    Ok(ending(row, from, to, ended).exec(db).await?.rows_affected == 1)
}

fn ending(row: &Model, from: RowStatus, to: RowStatus, ended: Ended) -> UpdateMany<Entity> {
    let values = ActiveModel {
        status: Set(to.into()),
        field: Set(ended.field),
        code: Set(ended.code),
        detail: Set(ended.detail),
        task_id: Set(ended.task_id),
        video_id: Set(ended.video_id),
        ..Default::default()
    };
    in_state_of(row, from.into()).set(values)
}

/// Ends up to `limit` pending rows up to the row `up_to`, which the caller counts. Returns their number.
///
/// # Errors
/// Any database error.
pub async fn end_pending(
    db: &DatabaseTransaction,
    import: i64,
    to: RowStatus,
    up_to: i64,
    limit: u64,
) -> Result<u64, DbErr> {
    let rows = Entity::find().select_only().column(Column::Row);
    let rows = rows.filter(Column::ImportId.eq(import));
    let rows = rows.filter(Column::Status.eq(State::Pending));
    let rows = rows.filter(Column::Row.lte(up_to)).order_by_asc(Column::Row);
    let last: Option<i64> = rows.limit(limit).into_tuple().all(db).await?.pop();
    let Some(last) = last else { return Ok(0) };
    let update = Entity::update_many()
        .filter(Column::ImportId.eq(import))
        .filter(Column::Status.eq(State::Pending))
        .filter(Column::Row.lte(last))
        .col_expr(Column::Status, Expr::value(State::from(to)));
    Ok(update.exec(db).await?.rows_affected)
}

async fn move_one(
    db: &DatabaseTransaction,
    row: &Model,
    update: UpdateMany<Entity>,
    from: RowStatus,
    to: RowStatus,
) -> Result<bool, DbErr> {
    if update.exec(db).await?.rows_affected != 1 {
        return Ok(false);
    }
    let counted = import::Entity::update_many().filter(import::Column::Id.eq(row.import_id));
    import::shift(counted, from, to, 1).exec(db).await?;
    Ok(true)
}

/// Sets rows with one of these errors back to `pending`. Returns their number. Call it in [`crate::user::write`].
///
/// # Errors
/// Any database error.
pub async fn retry(db: &DatabaseTransaction, import: i64, codes: &[&str]) -> Result<u64, DbErr> {
    let values = ActiveModel {
        status: Set(State::Pending),
        field: Set(None),
        code: Set(None),
        detail: Set(None),
        upload_id: Set(None),
        ..Default::default()
    };
    let update = Entity::update_many()
        .set(values)
        .filter(Column::ImportId.eq(import))
        .filter(Column::Status.eq(State::Error))
        .filter(Column::Code.is_in(codes.iter().copied()));
    Ok(update.exec(db).await?.rows_affected)
}
