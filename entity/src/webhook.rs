//! Table `webhook_endpoints`: URLs to which the events of an account are sent.
//!
//! A row without a URL is no endpoint: it has the secret with which messages to the `webhook_url` of tasks are signed.
//! An account has at most one such row, from its first use on.
//!
//! An endpoint gets the events with ids above [`Model::after_event_id`]. It is the end of the log in the transaction
//! that creates or enables the endpoint, so it gets each event that is committed after that, and no earlier one.
//!
//! Secrets are stored as the caller gives them; this module does not look into them.

use crate::event;
use domain::UserId;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{OnConflict, Query};
use sea_orm::{DatabaseTransaction, FromJsonQueryResult, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// An endpoint of an account.
#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_endpoints")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    /// `None` for the row of the URLs of tasks.
    pub url: Option<String>,
    pub event_types: EventTypes,
    pub secret: String,
    /// The secret before the last rotation.
    pub previous_secret: Option<String>,
    /// The previous secret signs until this time.
    pub previous_until: Option<ChronoDateTimeUtc>,
    /// The last event that the endpoint does not get.
    pub after_event_id: i64,
    pub disabled_at: Option<ChronoDateTimeUtc>,
    /// The word of a [`Reason`].
    pub disabled_reason: Option<String>,
    /// The first failed attempt after the latest success; `None` after a success.
    pub failing_since: Option<ChronoDateTimeUtc>,
    pub created_at: ChronoDateTimeUtc,
    pub updated_at: ChronoDateTimeUtc,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({}, disabled: {:?})", self.id, self.disabled_reason)
    }
}

/// Types of events; none stands for all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
#[serde(transparent)]
pub struct EventTypes(pub Vec<String>);

impl EventTypes {
    /// Returns `true` if events of this type are wanted.
    #[must_use]
    pub fn contain(&self, event_type: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|one| one == event_type)
    }
}

/// The reason why an endpoint is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The receiver has answered with 410.
    Gone,
    /// All attempts have failed for [`domain::webhook::GIVE_UP_AFTER`].
    Failing,
    /// The account has disabled it.
    Account,
}

impl Reason {
    /// Returns the word in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
            Self::Account => "account",
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The account that the endpoint belongs to.
    #[must_use]
    pub const fn owner(&self) -> UserId {
        UserId(self.user_id)
    }

    /// The previous secret, while it signs.
    #[must_use]
    pub fn signing_previous(&self) -> Option<&str> {
        let signs = self.previous_until.is_some_and(|until| until > crate::now());
        self.previous_secret.as_deref().filter(|_| signs)
    }

    /// Returns `true` if all attempts of the last `age`, and those before the first of them, have failed.
    pub(crate) fn is_failing_for(&self, age: Duration) -> bool {
        let age = chrono::Duration::from_std(age).unwrap_or(chrono::Duration::MAX);
        self.failing_since
            .is_some_and(|since| crate::now().signed_duration_since(since) > age)
    }

    /// Returns `true` if the endpoint gets this event.
    #[must_use]
    pub(crate) fn wants(&self, event: &event::Model) -> bool {
        self.user_id == event.user_id && event.id > self.after_event_id && self.event_types.contain(&event.event_type)
    }
}

/// The values of a new endpoint.
#[derive(Clone)]
pub struct New {
    /// The URL.
    pub url: String,
    /// The types of events that it gets.
    pub event_types: EventTypes,
    /// The secret for its signatures.
    pub secret: String,
}

/// Creates an endpoint. Call it in [`crate::user::write`], where the result of [`count`] stays valid until the commit.
///
/// # Errors
/// Any database error.
pub async fn create(db: &DatabaseTransaction, user: UserId, new: New) -> Result<Model, DbErr> {
    let now = crate::now();
    let row = ActiveModel {
        id: NotSet,
        user_id: Set(user.0),
        url: Set(Some(new.url)),
        event_types: Set(new.event_types),
        secret: Set(new.secret),
        previous_secret: Set(None),
        previous_until: Set(None),
        after_event_id: Set(event::newest(db).await?),
        disabled_at: Set(None),
        disabled_reason: Set(None),
        failing_since: Set(None),
        created_at: Set(now),
        updated_at: Set(now),
    };
    row.insert(db).await
}

fn endpoints(user: UserId) -> Select<Entity> {
    Entity::find()
        .filter(Column::UserId.eq(user.0))
        .filter(Column::Url.is_not_null())
}

/// The endpoints of an account, the oldest first.
///
/// # Errors
/// Any database error.
pub async fn list(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<Model>, DbErr> {
    endpoints(user).order_by_asc(Column::Id).all(db).await
}

/// The number of endpoints of an account.
///
/// # Errors
/// Any database error.
pub async fn count(db: &impl ConnectionTrait, user: UserId) -> Result<u64, DbErr> {
    endpoints(user).count(db).await
}

/// An endpoint of an account.
///
/// # Errors
/// Any database error.
pub async fn of_user(db: &impl ConnectionTrait, user: UserId, id: i64) -> Result<Option<Model>, DbErr> {
    endpoints(user).filter(Column::Id.eq(id)).one(db).await
}

/// The row with these ids, of any accounts.
///
/// # Errors
/// Any database error.
pub(crate) async fn by_ids(db: &impl ConnectionTrait, ids: Vec<i64>) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::Id.is_in(ids)).all(db).await
}

/// The rows of these accounts that are not disabled, locked against changes: a message that is inserted for one of them
/// is there when the endpoint is disabled or gets another URL.
pub(crate) async fn lock_enabled(db: &DatabaseTransaction, users: Vec<i64>) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::UserId.is_in(users))
        .filter(Column::DisabledAt.is_null())
        .order_by_asc(Column::Id)
        .lock_shared()
        .all(db)
        .await
}

/// Locks the rows with these ids, in the order of ids. Those that were removed are left out.
///
/// # Errors
/// Any database error.
pub async fn lock(db: &DatabaseTransaction, ids: impl IntoIterator<Item = i64> + Send) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::Id.is_in(ids))
        .order_by_asc(Column::Id)
        .lock_exclusive()
        .all(db)
        .await
}

/// The row with the secret for the URLs of tasks, which is created with this secret if the account has none.
///
/// # Errors
/// Any database error.
pub async fn of_tasks(db: &impl ConnectionTrait, user: UserId, secret: &str) -> Result<Model, DbErr> {
    let found = || {
        Entity::find()
            .filter(Column::UserId.eq(user.0))
            .filter(Column::Url.is_null())
    };
    if let Some(row) = found().one(db).await? {
        return Ok(row);
    }
    let now = crate::now();
    let columns = [
        (Column::UserId, user.0.into()),
        (Column::EventTypes, Expr::value(EventTypes::default())),
        (Column::Secret, secret.into()),
        (Column::AfterEventId, 0_i64.into()),
        (Column::CreatedAt, now.into()),
        (Column::UpdatedAt, now.into()),
    ];
    let (columns, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let insert = Query::insert()
        .into_table(Entity)
        .columns(columns)
        .values_panic(values)
        // Another request may insert it at the same time.
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .to_owned();
    db.execute(&insert).await?;
    let row = found().one(db).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("the secret for URLs of tasks".to_owned()))
}

/// The id of the row of the URLs of tasks, if the account has one.
///
/// # Errors
/// Any database error.
pub async fn id_of_tasks(db: &impl ConnectionTrait, user: UserId) -> Result<Option<i64>, DbErr> {
    let row = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::UserId.eq(user.0))
        .filter(Column::Url.is_null());
    row.into_tuple().one(db).await
}

/// A change by the account. `None` keeps a value.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The URL, also for deliveries that wait.
    pub url: Option<String>,
    /// The types of events.
    pub event_types: Option<EventTypes>,
    /// `true` enables the endpoint, `false` disables it.
    pub enabled: Option<bool>,
}

/// Changes an endpoint. The caller ends its deliveries when it is disabled. Returns `None` if it has been removed.
///
/// # Errors
/// Any database error.
pub async fn update(db: &DatabaseTransaction, id: i64, change: Change) -> Result<Option<Model>, DbErr> {
    let mut update = Entity::update_many()
        .filter(Column::Id.eq(id))
        .col_expr(Column::UpdatedAt, Expr::value(crate::now()));
    if let Some(url) = change.url {
        // Failures at the old URL do not count for the new one.
        update = update
            .col_expr(Column::Url, Expr::value(url))
            .col_expr(Column::FailingSince, no_time());
    }
    if let Some(event_types) = change.event_types {
        update = update.col_expr(Column::EventTypes, Expr::value(event_types));
    }
    let Some(changed) = update.exec_with_returning(db).await?.pop() else {
        return Ok(None);
    };
    match (change.enabled, changed.disabled_at) {
        (Some(true), Some(_)) => enable(db, id).await,
        (Some(false), None) => disable(db, id, Reason::Account).await,
        _ => Ok(Some(changed)),
    }
}

fn no_time() -> Expr {
    Expr::value(Option::<ChronoDateTimeUtc>::None)
}

async fn enable(db: &DatabaseTransaction, id: i64) -> Result<Option<Model>, DbErr> {
    let update = Entity::update_many()
        .filter(Column::Id.eq(id))
        .col_expr(Column::DisabledAt, no_time())
        .col_expr(Column::DisabledReason, Expr::value(Option::<String>::None))
        .col_expr(Column::FailingSince, no_time())
        .col_expr(Column::AfterEventId, Expr::value(event::newest(db).await?));
    Ok(update.exec_with_returning(db).await?.pop())
}

/// Disables an endpoint. Returns `None` if it is disabled already or was removed.
///
/// # Errors
/// Any database error.
pub async fn disable(db: &DatabaseTransaction, id: i64, reason: Reason) -> Result<Option<Model>, DbErr> {
    let update = Entity::update_many()
        .filter(Column::Id.eq(id))
        .filter(Column::DisabledAt.is_null())
        .col_expr(Column::DisabledAt, Expr::value(crate::now()))
        .col_expr(Column::DisabledReason, Expr::value(reason.as_str()));
    Ok(update.exec_with_returning(db).await?.pop())
}

/// Records that attempts fail from now on, or that one has succeeded.
pub(crate) async fn set_failing(db: &DatabaseTransaction, id: i64, is_failing: bool) -> Result<(), DbErr> {
    let since = if is_failing {
        Expr::value(crate::now())
    } else {
        no_time()
    };
    let update = Entity::update_many()
        .filter(Column::Id.eq(id))
        .col_expr(Column::FailingSince, since);
    update.exec(db).await.map(drop)
}

/// Replaces the secret. The one before it also signs for `overlap`. Returns `None` if the row has been removed.
///
/// # Errors
/// Any database error.
pub async fn rotate(
    db: &DatabaseTransaction,
    id: i64,
    secret: &str,
    overlap: Duration,
) -> Result<Option<Model>, DbErr> {
    let now = crate::now();
    let until = now + chrono::Duration::from_std(overlap).unwrap_or_default();
    let update = Entity::update_many()
        .filter(Column::Id.eq(id))
        .col_expr(Column::PreviousSecret, Expr::col(Column::Secret))
        .col_expr(Column::PreviousUntil, Expr::value(until))
        .col_expr(Column::Secret, Expr::value(secret))
        .col_expr(Column::UpdatedAt, Expr::value(now));
    Ok(update.exec_with_returning(db).await?.pop())
}

/// Removes an endpoint with its deliveries. Returns `false` if another request has removed it.
///
/// # Errors
/// Any database error.
pub async fn remove(db: &impl ConnectionTrait, id: i64) -> Result<bool, DbErr> {
    Ok(Entity::delete_by_id(id).exec(db).await?.rows_affected == 1)
}
