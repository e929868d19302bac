//! Table `events`: what has happened to the tasks, uploads, videos and imports of an account. One table is the
//! outbox of everything that tells clients of a change: lists and streams read it by position (`log.rs`).
//!
//! An event is appended in the transaction of its change, so there is exactly one for each. `data` is the subject as it
//! was then, in the form in which lists of the API show it. Events are kept when their subject is removed, and are
//! deleted by age alone ([`trim`]).
//!
//! *Rejected.* An event for each claim, and for progress: a claim is one statement without a transaction, and the lock
//! of the log would make claims wait for each other. Streams tell both from the row of the task.

mod data;

pub use data::DisabledWebhook;

use crate::log::{Log, lock_appends};
use crate::{RawJson, fetch, import, task, upload, video};
use data::{ImportData, TaskData, UploadData, VideoData};
use domain::{EventType, TaskId, UserId};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, Order, QueryOrder, QuerySelect, Select};
use serde::Serialize;
use std::time::Duration;

/// An event. A row without an account was written by an earlier version; the functions here skip it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    /// The position in the log, which is also the cursor of clients.
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    /// The word of an [`EventType`], possibly one of a later version.
    #[sea_orm(column_name = "type")]
    pub event_type: String,
    /// The id of the task, fetch, guest link, video, import or webhook, which may have been removed since.
    pub subject_id: i64,
    pub data: RawJson,
    pub at: ChronoDateTimeUtc,
    /// The `webhook_url` of the task, kept here for the event of its removal.
    pub webhook_url: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The account that the event belongs to.
    #[must_use]
    pub const fn owner(&self) -> UserId {
        UserId(self.user_id)
    }

    /// The id of the task, if the event is one of a task.
    #[must_use]
    pub fn of_task(&self) -> Option<i64> {
        self.event_type.starts_with("task.").then_some(self.subject_id)
    }

    /// The time since the event, on the clock of this process.
    #[must_use]
    pub fn age(&self) -> Duration {
        crate::now().signed_duration_since(self.at).to_std().unwrap_or_default()
    }
}

/// The values of a new event.
#[derive(Clone, Debug)]
pub struct New {
    owner: i64,
    event_type: EventType,
    subject: i64,
    data: RawJson,
    webhook_url: Option<String>,
}

impl New {
    /// An event of a task as it is in this transaction.
    ///
    /// # Errors
    /// Any database error; there is no such task.
    pub async fn of_task(db: &impl ConnectionTrait, event_type: EventType, task: TaskId) -> Result<Self, DbErr> {
        let missing = || DbErr::RecordNotFound(format!("the task {task} of an event"));
        let mut task = task::summary(db, task).await?.ok_or_else(missing)?;
        Ok(Self {
            owner: task.user_id,
            event_type,
            subject: task.id,
            webhook_url: task.webhook_url.take(),
            data: json(&TaskData::of(task))?,
        })
    }

    /// An event of an upload that a worker fetches or a guest sends, as it is in this transaction. Its subject is the
    /// fetch or the link of the guest.
    ///
    /// # Errors
    /// Any database error; there is no such upload.
    pub async fn of_upload(db: &impl ConnectionTrait, event_type: EventType, id: &str) -> Result<Self, DbErr> {
        let missing = || DbErr::RecordNotFound(format!("the upload {id} of an event"));
        let upload = upload::Entity::find_by_id(id).one(db).await?.ok_or_else(missing)?;
        let mut fetch = fetch::of_upload(db, id).await?;
        let subject = fetch.as_ref().map(|fetch| fetch.id).or(upload.guest_link_id);
        let webhook_url = fetch.as_mut().and_then(|fetch| fetch.webhook_url.take());
        Ok(Self {
            owner: upload.user_id,
            event_type,
            subject: subject.ok_or_else(missing)?,
            webhook_url,
            data: json(&UploadData::of(upload, fetch))?,
        })
    }

    /// An event of a video.
    ///
    /// # Errors
    /// The data cannot be serialized.
    pub fn of_video(event_type: EventType, video: &video::Model) -> Result<Self, DbErr> {
        Ok(Self {
            owner: video.user_id,
            event_type,
            subject: video.id,
            data: json(&VideoData::of(video))?,
            webhook_url: None,
        })
    }

    /// An event of an import as it is in this transaction.
    ///
    /// # Errors
    /// Any database error; there is no such import.
    pub async fn of_import(db: &impl ConnectionTrait, event_type: EventType, id: i64) -> Result<Self, DbErr> {
        let missing = || DbErr::RecordNotFound(format!("the import {id} of an event"));
        let import = import::Entity::find_by_id(id).one(db).await?.ok_or_else(missing)?;
        Ok(Self {
            owner: import.user_id,
            event_type,
            subject: import.id,
            data: json(&ImportData::of(import))?,
            webhook_url: None,
        })
    }

    /// An event of a webhook that was disabled.
    ///
    /// # Errors
    /// The data cannot be serialized.
    pub fn of_disabled_webhook(webhook: &DisabledWebhook) -> Result<Self, DbErr> {
        Ok(Self {
            owner: webhook.owner,
            event_type: EventType::WebhookDisabled,
            subject: webhook.subject,
            data: json(webhook)?,
            webhook_url: None,
        })
    }
}

fn json(data: &impl Serialize) -> Result<RawJson, DbErr> {
    let text = serde_json::value::to_raw_value(data).map_err(|error| DbErr::Json(error.to_string()))?;
    Ok(RawJson::from_text(text))
}

/// Appends events. Only the log of the library may be appended to after it in the same transaction (see `log.rs`).
///
/// # Errors
/// Any database error.
pub async fn append(db: &DatabaseTransaction, events: Vec<New>) -> Result<(), DbErr> {
    if events.is_empty() {
        return Ok(());
    }
    lock_appends(db, Log::Events).await?;
    let row = |event: New| ActiveModel {
        id: NotSet,
        user_id: Set(event.owner),
        event_type: Set(event.event_type.as_str().to_owned()),
        subject_id: Set(event.subject),
        data: Set(event.data),
        // Behind the lock, so that times are in the order of ids, but for the difference of the clocks of processes.
        at: Set(crate::now()),
        webhook_url: Set(event.webhook_url),
    };
    Entity::insert_many(events.into_iter().map(row))
        .exec_without_returning(db)
        .await
        .map(drop)
}

/// The ends of the log. Every event that is not visible yet gets an id above `newest`. That does not hold for rows of
/// the previous version, which are not appended behind the lock, so they do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The id of the oldest row, 0 without rows.
    pub oldest: i64,
    /// The id of the newest row, 0 without rows.
    pub newest: i64,
}

impl Ends {
    /// Returns `true` if all events after this id are still there. 0 stands for all events that are kept.
    #[must_use]
    pub const fn contain(self, after: i64) -> bool {
        after == 0 || (after >= self.oldest && after <= self.newest)
    }
}

/// The ends of the log.
///
/// # Errors
/// Any database error.
pub async fn ends(db: &impl ConnectionTrait) -> Result<Ends, DbErr> {
    Ok(Ends {
        oldest: end(db, Order::Asc).await?,
        newest: newest(db).await?,
    })
}

/// The id of the newest row, 0 without rows.
///
/// # Errors
/// Any database error.
pub async fn newest(db: &impl ConnectionTrait) -> Result<i64, DbErr> {
    end(db, Order::Desc).await
}

/// The first id in an order. For `min` and `max` in one statement, SQLite reads the whole table.
async fn end(db: &impl ConnectionTrait, order: Order) -> Result<i64, DbErr> {
    let ids = Entity::find().select_only().column(Column::Id);
    let ids = ids.filter(Column::UserId.is_not_null()).order_by(Column::Id, order);
    let id: Option<i64> = ids.into_tuple().one(db).await?;
    Ok(id.unwrap_or(0))
}

/// The events of all accounts after an id in order, at most `limit`.
///
/// # Errors
/// Any database error.
pub async fn after(db: &impl ConnectionTrait, id: i64, limit: u64) -> Result<Vec<Model>, DbErr> {
    let events = Entity::find().filter(Column::UserId.is_not_null());
    following(events, id, limit).all(db).await
}

/// A part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The id before the first event.
    pub after: i64,
    /// The id of the last event.
    pub until: i64,
}

/// The events of an account in a part of the log in order, at most `limit`.
///
/// # Errors
/// Any database error.
pub async fn of_user(db: &impl ConnectionTrait, user: UserId, range: Range, limit: u64) -> Result<Vec<Model>, DbErr> {
    let events = Entity::find()
        .filter(Column::UserId.eq(user.0))
        .filter(Column::Id.lte(range.until));
    following(events, range.after, limit).all(db).await
}

fn following(events: Select<Entity>, id: i64, limit: u64) -> Select<Entity> {
    events.filter(Column::Id.gt(id)).order_by_asc(Column::Id).limit(limit)
}

/// Deletes the events that are older than `age`, except the newest row: it shows which ids were given. Returns their
/// number.
///
/// # Errors
/// Any database error.
pub async fn trim(db: &impl ConnectionTrait, age: Duration) -> Result<u64, DbErr> {
    let age = chrono::Duration::from_std(age).unwrap_or(chrono::Duration::MAX);
    let Some(before) = crate::now().checked_sub_signed(age) else {
        return Ok(0);
    };
    // Ids are nearly in the order of times. This walks over the rows to delete; the reverse would walk over all others.
    let kept = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::At.gte(before))
        .order_by_asc(Column::Id);
    let kept: Option<i64> = kept.into_tuple().one(db).await?;
    let kept = match kept {
        Some(kept) => kept,
        None => newest(db).await?,
    };
    let old = Entity::delete_many().filter(Column::Id.lt(kept));
    Ok(old.exec(db).await?.rows_affected)
}
