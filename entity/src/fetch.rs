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
use sea_orm::sea_query::{Func, Query};
use sea_orm::{
    Condition, DatabaseConnection, DatabaseTransaction, ExprTrait, JoinType, Order, QueryResult, QuerySelect,
};
use std::fmt;
use std::time::Duration;

/// Names of the subquery of [`due`] and of its column.
const RUNNING: &str = "running";
const COUNT: &str = "count";

/// `run_at_ms` of a fetch that has ended.
const NEVER_MS: i64 = i64::MAX;

/// The request of a fetch, and how far its attempts have come.
#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "fetches")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    #[sea_orm(unique)]
    pub upload_id: String,
    /// URL and headers, as `app` writes them. They may contain secrets, so they are removed when the fetch has ended.
    pub request: String,
    /// The preset of the task.
    pub preset: Option<String>,
    /// The recipe of the task, resolved when the fetch was created.
    pub recipe: Json,
    /// The validator of the reply from which the received bytes are.
    pub validator: Option<String>,
    /// The longest part of the file that any attempt has reached, in bytes.
    pub most_bytes: i64,
    /// Number of attempts in a row that got no further.
    pub failures: i32,
    /// The next attempt begins after this time, on the database clock.
    pub run_at_ms: i64,
    /// The fetch fails after this time, on the database clock.
    pub deadline_ms: i64,
    /// The code of the failure that ended the fetch.
    pub error_code: Option<String>,
    /// Its detail, for the user.
    pub error_detail: Option<String>,
    /// The URL that gets the events of the task, and the failure of the fetch.
    pub webhook_url: Option<String>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The request may contain secrets.
        write!(
            f,
            "Fetch({}, failures {}, {:?})",
            self.upload_id, self.failures, self.error_code
        )
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl upload::Model {
    /// The status by this row and that of its fetch, if a worker fetches the file. It is not stored: when a process is
    /// killed while it receives bytes, the status changes with the end of the lease, on the clock of this process.
    #[must_use]
    pub fn status(&self, fetch: Option<&Model>) -> UploadStatus {
        let has_failed = self.error_code.is_some() || fetch.is_some_and(|fetch| fetch.error_code.is_some());
        match (self.task_id, has_failed) {
            (Some(_), _) => UploadStatus::Finished,
            (None, true) => UploadStatus::Failed,
            (None, false) if self.sha256.is_some() => UploadStatus::Complete,
            (None, false) if self.is_held() => UploadStatus::Receiving,
            (None, false) => UploadStatus::Waiting,
        }
    }
}

/// The values of a new fetch.
#[derive(Clone)]
pub struct New {
    /// URL and headers.
    pub request: String,
    /// The preset of the task.
    pub preset: Option<String>,
    /// The recipe of the task.
    pub recipe: Json,
    /// The checked URL that gets the events of the task.
    pub webhook_url: Option<String>,
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
        (Column::Request, new.request.as_str().into()),
        (Column::Preset, Expr::value(new.preset.clone())),
        (Column::Recipe, Expr::value(new.recipe.clone())),
        (Column::WebhookUrl, Expr::value(new.webhook_url.clone())),
        (Column::MostBytes, 0_i64.into()),
        (Column::Failures, 0.into()),
        (Column::RunAtMs, crate::now_ms(db)),
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

/// Uploads with a fetch that is due and which no process holds, at most `limit`, with their accounts: first those of
/// accounts with the fewest fetches in progress, then those that wait longest. Those of accounts with `max_running` in
/// progress wait, so that no account takes all places; processes that look at the same time may exceed it a little.
///
/// # Errors
/// Any database error.
pub async fn due(db: &DatabaseConnection, limit: u64, max_running: u32) -> Result<Vec<(String, UserId)>, DbErr> {
    let is_held = || Expr::col((upload::Entity, upload::Column::UntilMs)).gt(crate::now_ms(db));
    let running = Query::select()
        .column(upload::Column::UserId)
        .expr_as(Expr::col(upload::Column::Id).count(), COUNT)
        .from(upload::Entity)
        .and_where(Expr::col(upload::Column::Fetched).eq(true))
        .and_where(Expr::col(upload::Column::Holder).is_not_null())
        .and_where(is_held())
        .group_by_col(upload::Column::UserId)
        .to_owned();
    let count = || Expr::expr(Func::coalesce([Expr::col((RUNNING, COUNT)), Expr::value(0_i64)]));
    let is_of_account = Expr::col((RUNNING, upload::Column::UserId)).equals((upload::Entity, upload::Column::UserId));
    let due = Query::select()
        .column((Entity, Column::UploadId))
        .column((upload::Entity, upload::Column::UserId))
        .from(Entity)
        .inner_join(
            upload::Entity,
            Expr::col((upload::Entity, upload::Column::Id)).equals((Entity, Column::UploadId)),
        )
        .join_subquery(JoinType::LeftJoin, running, RUNNING, is_of_account)
        .and_where(Expr::col((Entity, Column::RunAtMs)).lte(crate::now_ms(db)))
        .and_where(Expr::col((Entity, Column::ErrorCode)).is_null())
        .and_where(Expr::col((upload::Entity, upload::Column::TaskId)).is_null())
        .cond_where(
            Condition::any()
                .add(Expr::col((upload::Entity, upload::Column::Holder)).is_null())
                .add(is_held().not()),
        )
        .and_where(count().lt(max_running))
        .order_by_expr(count(), Order::Asc)
        .order_by((Entity, Column::RunAtMs), Order::Asc)
        .order_by((Entity, Column::Id), Order::Asc)
        .limit(limit)
        .to_owned();
    let rows = db.query_all(&due).await?;
    let pair = |row: QueryResult| Ok((row.try_get_by_index(0)?, UserId(row.try_get_by_index(1)?)));
    rows.into_iter().map(pair).collect()
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
        .col_expr(Column::Request, Expr::value(""))
        .col_expr(Column::RunAtMs, Expr::value(NEVER_MS));
    update.exec(db).await.map(drop)
}

/// The outcome of an attempt that did not end the fetch.
#[derive(Clone, Copy, Debug)]
pub struct Postponed {
    /// The longest part of the file that any attempt has reached, in bytes.
    pub most_bytes: i64,
    /// Number of attempts in a row that got no further.
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
            .col_expr(Column::MostBytes, Expr::value(postponed.most_bytes))
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
            .col_expr(Column::Request, Expr::value(""))
            .col_expr(Column::RunAtMs, Expr::value(NEVER_MS))
            .col_expr(Column::ErrorCode, Expr::value(code))
            .col_expr(Column::ErrorDetail, Expr::value(detail));
        Ok(update.exec(db).await?.rows_affected == 1)
    }
}
