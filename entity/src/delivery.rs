//! Table `webhook_deliveries`: messages on their way to the endpoints of accounts and to the `webhook_url` of tasks.
//!
//! # Problem
//!
//! Each event must reach each endpoint that wants it, although receivers are away for hours and workers are killed at
//! any time.
//!
//! # Mechanism
//!
//! - [`dispatch`] (`delivery/dispatch.rs`) reads the log of events after a stored position, inserts a row for each
//!   event and endpoint, and moves the position, in one transaction. So there is exactly one delivery of each event to
//!   each endpoint.
//! - [`claim`] (`delivery/attempt.rs`) takes rows that are due. `run_at_ms` is the time after which a row may be taken:
//!   that of the next attempt, and during an attempt the end of its lease ([`crate::lease`]). An attempt is shorter
//!   than a lease, so a lease is not renewed. When a worker is killed, the row is due again.
//! - [`settle`] (`delivery/outcome.rs`) records the outcomes of attempts: the end, or the time of the next attempt.
//! - Rows that were due for days without an attempt end too ([`end_overdue`]), so a receiver that never answers cannot
//!   fill the table.
//!
//! # Invariants
//!
//! - `attempt` only grows and fences [`settle`]: the outcome of an attempt whose row was taken since changes nothing.
//! - A row with `run_at_ms` is pending; one without has ended, and `delivered` tells how.
//! - A pending row has the URL of its endpoint, which is enabled. Each transaction that inserts rows, lets one begin
//!   again or changes the endpoint locks the endpoint first.
//! - A receiver may get a message more than once, because a worker may be killed between the reply and [`settle`]. The
//!   id of the message is then the same.
//!
//! # Rejected
//!
//! A delivery in the transaction of the change: each change would wait for a query about endpoints. A row for each
//! attempt: the log shows the latest attempt and the number of failures, which tells what is wrong.

mod attempt;
mod dispatch;
mod outcome;

pub use attempt::{Claimed, claim, due};
pub use dispatch::{dispatch, has_events};
pub use outcome::{Outcome, Settled, settle};

use crate::event::DisabledWebhook;
use crate::{RawJson, webhook};
use chrono::{DateTime, Utc};
use domain::{DeliveryStatus, TaskId, UserId};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{LockBehavior, LockType};
use sea_orm::{DatabaseConnection, DatabaseTransaction, ExprTrait, QueryOrder, QuerySelect, QueryTrait};
use serde::Serialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// The error of deliveries that wait when their endpoint is disabled.
const DISABLED: &str = "disabled";
/// The error of deliveries that have waited too long without an attempt.
const EXPIRED: &str = "expired";

/// A message for one URL.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_deliveries")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    /// The id of the message: `msg_` and a UUID that begins with its time, so ids are nearly in the order of creation.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub user_id: i64,
    /// The endpoint whose secret signs the message.
    pub endpoint_id: i64,
    /// The task of the event, which may have been removed since.
    pub task_id: Option<i64>,
    pub url: String,
    pub event_type: String,
    /// The body as it is sent.
    pub payload: RawJson,
    /// Number of the latest attempt, which fences the outcome of earlier ones.
    pub attempt: i32,
    /// Number of failed attempts since the message was sent the first time, or again by the account.
    pub failures: i32,
    /// The row may be taken after this time on the database clock; null when the delivery has ended.
    pub run_at_ms: Option<i64>,
    /// The status of the latest reply.
    pub status_code: Option<i32>,
    /// A word for the latest failure: of `outbound::Error`, `status`, `disabled` or `expired`.
    pub error: Option<String>,
    /// End of the latest attempt.
    pub attempted_at: Option<ChronoDateTimeUtc>,
    pub ended_at: Option<ChronoDateTimeUtc>,
    /// The receiver has accepted the message.
    pub delivered: bool,
    pub created_at: ChronoDateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The status by the columns of the row.
    #[must_use]
    pub const fn status(&self) -> DeliveryStatus {
        match (self.run_at_ms, self.delivered) {
            (Some(_), _) => DeliveryStatus::Pending,
            (None, true) => DeliveryStatus::Delivered,
            (None, false) => DeliveryStatus::Failed,
        }
    }

    /// The time of the next attempt, while the delivery is pending.
    #[must_use]
    pub fn next_attempt_at(&self) -> Option<DateTime<Utc>> {
        let run_at = DateTime::from_timestamp_millis(self.run_at_ms?)?;
        Some(std::cmp::max(run_at, self.created_at))
    }
}

/// The data of the event that this message has disabled its endpoint, or the URL of its task.
pub(crate) fn disabled_by(delivery: &Model, endpoint: &webhook::Model) -> DisabledWebhook {
    let is_endpoint = endpoint.url.is_some();
    DisabledWebhook {
        owner: endpoint.user_id,
        subject: endpoint.id,
        webhook_id: is_endpoint.then_some(endpoint.id),
        task_id: delivery.task_id.filter(|_| !is_endpoint),
        url: delivery.url.clone(),
        delivery_id: delivery.id.clone(),
        disabled_at: endpoint.disabled_at.unwrap_or_else(crate::now),
        disabled_reason: match &endpoint.disabled_reason {
            Some(reason) => reason.clone(),
            None => webhook::Reason::Gone.as_str().to_owned(),
        },
    }
}

/// The body of a message.
#[derive(Serialize)]
struct Payload<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    timestamp: DateTime<Utc>,
    data: &'a RawValue,
}

/// A new message, which is due at once.
struct Message<'a> {
    endpoint: &'a webhook::Model,
    url: &'a str,
    task: Option<i64>,
    payload: Payload<'a>,
}

impl Message<'_> {
    fn into_row(self) -> Result<ActiveModel, DbErr> {
        let payload = serde_json::value::to_raw_value(&self.payload).map_err(|error| DbErr::Json(error.to_string()))?;
        Ok(ActiveModel {
            id: Set(format!("msg_{}", Uuid::now_v7().simple())),
            user_id: Set(self.endpoint.user_id),
            endpoint_id: Set(self.endpoint.id),
            task_id: Set(self.task),
            url: Set(self.url.to_owned()),
            event_type: Set(self.payload.event_type.to_owned()),
            payload: Set(RawJson::from_text(payload)),
            attempt: Set(0),
            failures: Set(0),
            run_at_ms: Set(Some(0)),
            status_code: Set(None),
            error: Set(None),
            attempted_at: Set(None),
            ended_at: Set(None),
            delivered: Set(false),
            created_at: Set(crate::now()),
        })
    }
}

/// Inserts a message that is no event, for an endpoint with a URL. Call it behind [`webhook::lock`].
///
/// # Errors
/// Any database error.
pub async fn create(
    db: &DatabaseTransaction,
    endpoint: &webhook::Model,
    event_type: &str,
    data: &RawValue,
) -> Result<Model, DbErr> {
    let message = Message {
        endpoint,
        url: endpoint.url.as_deref().unwrap_or_default(),
        task: None,
        payload: Payload {
            event_type,
            timestamp: crate::now(),
            data,
        },
    };
    message.into_row()?.insert(db).await
}

/// Filter and page of a list of deliveries, the newest first.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Only those of this endpoint.
    pub endpoint: Option<i64>,
    /// Only those of this task.
    pub task: Option<TaskId>,
    /// Only those with this status.
    pub status: Option<DeliveryStatus>,
    /// Only those before this message: the cursor.
    pub before: Option<String>,
    /// Maximum number of deliveries.
    pub limit: u64,
}

/// The deliveries of an account, the newest first.
///
/// # Errors
/// Any database error.
pub async fn list(db: &impl ConnectionTrait, user: UserId, page: Page) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::find().filter(Column::UserId.eq(user.0));
    if let Some(endpoint) = page.endpoint {
        query = query.filter(Column::EndpointId.eq(endpoint));
    }
    if let Some(TaskId(task)) = page.task {
        query = query.filter(Column::TaskId.eq(task));
    }
    if let Some(before) = page.before {
        query = query.filter(Column::Id.lt(before));
    }
    query = match page.status {
        None => query,
        Some(DeliveryStatus::Pending) => query.filter(Column::RunAtMs.is_not_null()),
        Some(ended) => query
            .filter(Column::RunAtMs.is_null())
            .filter(Column::Delivered.eq(ended == DeliveryStatus::Delivered)),
    };
    query.order_by_desc(Column::Id).limit(page.limit).all(db).await
}

/// A delivery of an account.
///
/// # Errors
/// Any database error.
pub async fn of_user(db: &impl ConnectionTrait, user: UserId, id: &str) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::UserId.eq(user.0)).one(db).await
}

/// Lets a delivery begin again, at once and with all attempts. An attempt in progress no longer counts. Call it behind
/// [`webhook::lock`].
///
/// # Errors
/// Any database error; [`DbErr::RecordNotUpdated`] if it has been removed.
pub async fn send_again(db: &DatabaseTransaction, id: &str, url: &str) -> Result<Model, DbErr> {
    let update = Entity::update_many()
        .filter(Column::Id.eq(id))
        .col_expr(Column::Url, Expr::value(url))
        .col_expr(Column::Attempt, Expr::col(Column::Attempt).add(1))
        .col_expr(Column::Failures, Expr::value(0))
        .col_expr(Column::RunAtMs, crate::now_ms(db))
        .col_expr(Column::EndedAt, Expr::value(Option::<DateTime<Utc>>::None))
        .col_expr(Column::Delivered, Expr::value(false));
    let row = update.exec_with_returning(db).await?.pop();
    row.ok_or(DbErr::RecordNotUpdated)
}

/// Sends the messages of an endpoint that were not delivered yet to another URL.
///
/// # Errors
/// Any database error.
pub async fn set_url_of_waiting(db: &DatabaseTransaction, endpoint: i64, url: &str) -> Result<(), DbErr> {
    let update = Entity::update_many()
        .filter(Column::EndpointId.eq(endpoint))
        .filter(Column::RunAtMs.is_not_null())
        .col_expr(Column::Url, Expr::value(url));
    update.exec(db).await.map(drop)
}

/// Ends what waits for an endpoint that is disabled; of one task alone, if the URL was that of the task.
///
/// # Errors
/// Any database error.
pub async fn end_waiting(db: &DatabaseTransaction, endpoint: i64, task: Option<TaskId>) -> Result<(), DbErr> {
    let mut update = Entity::update_many()
        .filter(Column::EndpointId.eq(endpoint))
        .filter(Column::RunAtMs.is_not_null());
    if let Some(TaskId(task)) = task {
        update = update.filter(Column::TaskId.eq(task));
    }
    let update = update
        .col_expr(Column::RunAtMs, Expr::value(Option::<i64>::None))
        .col_expr(Column::EndedAt, Expr::value(crate::now()))
        .col_expr(Column::Error, Expr::value(DISABLED));
    update.exec(db).await.map(drop)
}

/// Ends deliveries that have been due for longer than `age` without an attempt, at most `limit`. Returns their number.
///
/// # Errors
/// Any database error.
pub async fn end_overdue(db: &DatabaseConnection, age: Duration, limit: u64) -> Result<u64, DbErr> {
    let before = crate::now() - chrono::Duration::from_std(age).unwrap_or_default();
    let due_before = crate::in_ms(db, -crate::millis(age));
    let overdue = || {
        let overdue = Entity::find().select_only().column(Column::Id);
        overdue
            .filter(Expr::col(Column::RunAtMs).lte(due_before.clone()))
            // A new message has no time at which it became due.
            .filter(Column::CreatedAt.lte(before))
    };
    let ids: Vec<String> = overdue().limit(limit).into_tuple().all(db).await?;
    if ids.is_empty() {
        return Ok(0);
    }
    // Another transaction that has one of these rows, after the lock on its endpoint, must not make a deadlock.
    let free = overdue()
        .filter(Column::Id.is_in(ids))
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    let update = Entity::update_many()
        .filter(Column::Id.in_subquery(free.into_query()))
        .col_expr(Column::RunAtMs, Expr::value(Option::<i64>::None))
        .col_expr(Column::EndedAt, Expr::value(crate::now()))
        .col_expr(Column::Error, Expr::value(EXPIRED));
    Ok(update.exec(db).await?.rows_affected)
}

/// Deletes deliveries that ended longer than `age` ago, at most `limit`. Returns their number.
///
/// # Errors
/// Any database error.
pub async fn delete_ended(db: &impl ConnectionTrait, age: Duration, limit: u64) -> Result<u64, DbErr> {
    let before = crate::now() - chrono::Duration::from_std(age).unwrap_or_default();
    let old = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::EndedAt.lt(before))
        .limit(limit);
    let ids: Vec<String> = old.into_tuple().all(db).await?;
    if ids.is_empty() {
        return Ok(0);
    }
    // A delivery that was sent again since has no end.
    let delete = Entity::delete_many()
        .filter(Column::Id.is_in(ids))
        .filter(Column::EndedAt.lt(before));
    Ok(delete.exec(db).await?.rows_affected)
}
