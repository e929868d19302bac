//! Table `fetches`: uploads whose bytes a worker fetches from a URL that the user gave.
//!
//! A fetch is a second row of an upload (`uploads.fetched`). The upload has the position, the file and the lease; the
//! fetch has the request, the validator of the bytes that were received, and the time of the next attempt. So the
//! status follows from the two rows ([`upload::Model::status`]). A fetch disappears with its upload.
//!
//! Each write has the condition that the upload is held, like those of [`UploadLease`].

use crate::Json;
use crate::upload::{self, UploadLease};
use domain::{UploadStatus, UserId};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Query;
use sea_orm::{
    Condition, DatabaseConnection, DatabaseTransaction, ExprTrait, JoinType, QueryOrder, QuerySelect, QueryTrait,
};
use std::fmt;
use std::time::Duration;

/// The column `headers` without headers.
const NO_HEADERS: &str = "[]";

/// The request of a fetch, and how far its attempts have come.
#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "fetches")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    #[sea_orm(unique)]
    pub upload_id: String,
    /// May contain secrets, such as a signature. Like the headers, it is emptied when the fetch has ended.
    pub url: String,
    /// A JSON array of pairs of name and value.
    pub headers: String,
    /// The preset of the task.
    pub preset: Option<String>,
    /// The recipe of the task, resolved when the fetch was created.
    pub recipe: Json,
    /// The validator of the reply from which the received bytes are.
    pub validator: Option<String>,
    /// Number of attempts in a row that brought no byte.
    pub failures: i32,
    /// The next attempt begins after this time, on the database clock.
    pub run_at_ms: i64,
    /// The fetch fails after this time, on the database clock.
    pub deadline_ms: i64,
    /// The code of the failure that ended the fetch.
    pub error_code: Option<String>,
    /// Its detail, for the user.
    pub error_detail: Option<String>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // URL and headers may be secrets.
        write!(
            f,
            "Fetch({}, failures {}, {:?})",
            self.upload_id, self.failures, self.error_code
        )
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "derives the join of the two tables")]
pub enum Relation {
    #[sea_orm(
        belongs_to = "crate::upload::Entity",
        from = "Column::UploadId",
        to = "crate::upload::Column::Id"
    )]
    Upload,
}

impl ActiveModelBehavior for ActiveModel {}

impl upload::Model {
    /// The status by this row and that of its fetch, if a worker fetches the file. It is not stored, so it is never
    /// wrong after a crash.
    #[must_use]
    pub fn status(&self, fetch: Option<&Model>) -> UploadStatus {
        let has_failed = self.error_code.is_some() || fetch.is_some_and(|fetch| fetch.error_code.is_some());
        match (self.task_id, has_failed) {
            (Some(_), _) => UploadStatus::Finished,
            (None, true) => UploadStatus::Failed,
            (None, false) if self.sha256.is_some() => UploadStatus::Complete,
            (None, false) if self.holder.is_some() => UploadStatus::Receiving,
            (None, false) => UploadStatus::Waiting,
        }
    }
}

/// The values of a new fetch.
#[derive(Clone)]
pub struct New {
    /// The URL.
    pub url: String,
    /// Its headers, as a JSON array of pairs.
    pub headers: String,
    /// The preset of the task.
    pub preset: Option<String>,
    /// The recipe of the task.
    pub recipe: Json,
    /// Time after which the fetch fails.
    pub timeout: Duration,
}

/// Inserts the fetch of a new upload.
///
/// # Errors
/// Any database error.
pub async fn create(db: &DatabaseTransaction, upload: &str, new: &New) -> Result<(), DbErr> {
    let columns = [
        (Column::UploadId, upload.into()),
        (Column::Url, new.url.as_str().into()),
        (Column::Headers, new.headers.as_str().into()),
        (Column::Preset, Expr::value(new.preset.clone())),
        (Column::Recipe, Expr::value(new.recipe.clone())),
        (Column::Failures, 0.into()),
        (Column::RunAtMs, 0_i64.into()),
        (Column::DeadlineMs, crate::in_ms(db, crate::millis(new.timeout))),
    ];
    let (columns, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let insert = Query::insert()
        .into_table(Entity)
        .columns(columns)
        .values_panic(values)
        .to_owned();
    db.execute(&insert).await.map(drop)
}

/// The fetch of an upload.
///
/// # Errors
/// Any database error.
pub async fn of_upload(db: &impl ConnectionTrait, upload: &str) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::UploadId.eq(upload)).one(db).await
}

/// Uploads with a fetch that is due and which no process holds, at most `limit`, those that wait longest first, with
/// their accounts. Those of accounts with `max_running` fetches in progress wait, so that no account takes all places.
///
/// # Errors
/// Any database error.
pub async fn due(db: &DatabaseConnection, limit: u64, max_running: u32) -> Result<Vec<(String, UserId)>, DbErr> {
    let busy = upload::Entity::find()
        .select_only()
        .column(upload::Column::UserId)
        .filter(upload::Column::Fetched.eq(true))
        .filter(upload::Column::Holder.is_not_null())
        .filter(Expr::col(upload::Column::UntilMs).gt(crate::now_ms(db)))
        .group_by(upload::Column::UserId)
        .having(upload::Column::Id.count().gte(max_running));
    let is_free = Condition::any()
        .add(upload::Column::Holder.is_null())
        .add(Expr::col((upload::Entity, upload::Column::UntilMs)).lte(crate::now_ms(db)));
    let due = Entity::find()
        .join(JoinType::InnerJoin, Relation::Upload.def())
        .select_only()
        .column(Column::UploadId)
        .column_as(upload::Column::UserId, "user_id")
        .filter(Column::ErrorCode.is_null())
        .filter(upload::Column::TaskId.is_null())
        .filter(Expr::col((Entity, Column::RunAtMs)).lte(crate::now_ms(db)))
        .filter(is_free)
        .filter(upload::Column::UserId.not_in_subquery(busy.into_query()))
        .order_by_asc(Column::RunAtMs)
        .limit(limit);
    let rows: Vec<(String, i64)> = due.into_tuple().all(db).await?;
    Ok(rows.into_iter().map(|(upload, user)| (upload, UserId(user))).collect())
}

/// Time until the deadline of a fetch.
///
/// # Errors
/// Any database error.
pub async fn remaining(db: &DatabaseConnection, upload: &str) -> Result<Duration, DbErr> {
    let left = Expr::col(Column::DeadlineMs).sub(crate::now_ms(db));
    let rows = Entity::find().filter(Column::UploadId.eq(upload));
    let left: Option<i64> = rows.select_only().column_as(left, "left").into_tuple().one(db).await?;
    Ok(Duration::from_millis(
        left.and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default(),
    ))
}

/// Removes the URL and the headers of a fetch whose file has become a task: both may contain secrets.
///
/// # Errors
/// Any database error.
pub async fn forget_request(db: &DatabaseTransaction, upload: &str) -> Result<(), DbErr> {
    let update = Entity::update_many()
        .filter(Column::UploadId.eq(upload))
        .col_expr(Column::Url, Expr::value(""))
        .col_expr(Column::Headers, Expr::value(NO_HEADERS));
    update.exec(db).await.map(drop)
}

/// The outcome of an attempt that did not end the fetch.
#[derive(Clone, Copy, Debug)]
pub struct Postponed {
    /// Number of attempts in a row that brought no byte.
    pub failures: i32,
    /// Time until the next attempt.
    pub delay: Duration,
}

impl UploadLease {
    /// Records the validator of the reply from which the next bytes are. Returns `false` if another process has the
    /// upload.
    ///
    /// # Errors
    /// Any database error.
    pub async fn set_validator(&self, db: &impl ConnectionTrait, validator: Option<&str>) -> Result<bool, DbErr> {
        let update = Entity::update_many().filter(Column::UploadId.in_subquery(self.held_upload()));
        let update = update.col_expr(Column::Validator, Expr::value(validator.map(str::to_owned)));
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Sets the time of the next attempt. Returns `false` if another process has the upload.
    ///
    /// # Errors
    /// Any database error.
    pub async fn postpone_fetch(&self, db: &impl ConnectionTrait, postponed: Postponed) -> Result<bool, DbErr> {
        let update = Entity::update_many()
            .filter(Column::UploadId.in_subquery(self.held_upload()))
            .col_expr(Column::Failures, Expr::value(postponed.failures))
            .col_expr(Column::RunAtMs, crate::in_ms(db, crate::millis(postponed.delay)));
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Ends the fetch with an error. Returns `false` if another process has the upload.
    ///
    /// # Errors
    /// Any database error.
    pub async fn fail_fetch(&self, db: &impl ConnectionTrait, code: &str, detail: &str) -> Result<bool, DbErr> {
        let update = Entity::update_many()
            .filter(Column::UploadId.in_subquery(self.held_upload()))
            .col_expr(Column::Url, Expr::value(""))
            .col_expr(Column::Headers, Expr::value(NO_HEADERS))
            .col_expr(Column::ErrorCode, Expr::value(code))
            .col_expr(Column::ErrorDetail, Expr::value(detail));
        Ok(update.exec(db).await?.rows_affected == 1)
    }
}
