//! Table `idempotency_keys`: create requests that clients may send again, each under a key that the client has chosen.
//!
//! *Problem.* Of several requests with the same key, exactly one must be executed, and the others must get its reply. A
//! process may die at any point of the first request.
//!
//! *Mechanism.* The first request inserts the row and so takes a lease ([`crate::lease`]) on the key
//! ([`KeyLease::acquire`]), which it renews while it works ([`KeyLease::renew`]). It stores its reply in the
//! transaction that creates the resource ([`KeyLease::store_reply`]), for [`RETENTION`]. The column `until_ms` is the
//! end of the lease, then that of the retention. A row whose time is over counts as absent and is overwritten by the
//! next request with the key.
//!
//! *Invariants.*
//! - The resource and the reply are committed together.
//! - `holder` is unique to a request and fences its writes: each has the condition `holder = ? AND reply IS NULL`. A
//!   request that has lost its lease cannot store a reply, and must roll back.
//! - A stored reply is never changed; only its retention ends.
//!
//! *Rejected.* A uniqueness constraint on the created resources: two intended uploads of the same file are not the same
//! request. Waiting for the first request inside the database: it would hold a connection for the time of an upload.

use crate::lease;
use domain::UserId;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{OnConflict, Query};
use sea_orm::{ExprTrait, QueryOrder, QuerySelect};
use std::time::Duration;

/// Retention of a stored reply.
pub const RETENTION: Duration = Duration::from_secs(24 * 3_600);

/// Maximum number of stored replies of one account; the oldest beyond it are deleted.
pub const MAX_REPLIES: u64 = 10_000;

/// A key of an account, with its lease or its reply.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// The request that holds the lease, as a unique text: the fencing token.
    pub holder: String,
    /// End of the lease, then end of the retention, on the database clock.
    pub until_ms: i64,
    /// Identifies the operation and its content: requests with equal texts are the same request. Set with the reply.
    pub request: Option<String>,
    /// The stored reply; null while the request is being executed.
    pub reply: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The result of an attempt to take the lease on a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquisition {
    /// The caller has the lease and executes the request.
    Acquired,
    /// Another request has the lease.
    HeldByOther,
    /// The request has been executed.
    Completed(CompletedRequest),
}

/// An executed request and its reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedRequest {
    /// Identifies the operation and its content; see [`Model::request`].
    pub request: String,
    /// The reply as it was sent.
    pub reply: String,
}

/// A lease on a key: the key of an account, and the name of the request that fences its writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLease {
    user: UserId,
    key: String,
    holder: String,
}

impl KeyLease {
    /// A lease that is not taken yet. `holder` must be unique to the request.
    #[must_use]
    pub const fn new(user: UserId, key: String, holder: String) -> Self {
        Self { user, key, holder }
    }

    /// Takes the lease unless another request has it or the reply is stored.
    ///
    /// # Errors
    /// Any database error. The lease may have been taken nevertheless, so release it.
    pub async fn acquire(&self, db: &impl ConnectionTrait) -> Result<Acquisition, DbErr> {
        let row = [
            self.user.0.into(),
            self.key.as_str().into(),
            self.holder.as_str().into(),
            lease::end(db),
        ];
        let replace_expired = OnConflict::columns([Column::UserId, Column::Key])
            .update_columns([Column::Holder, Column::UntilMs])
            .values([Column::Request, Column::Reply].map(|column| (column, Expr::value(Option::<String>::None))))
            .action_and_where(Expr::col((Entity, Column::UntilMs)).lte(crate::now_ms(db)))
            .to_owned();
        let insert = Query::insert()
            .into_table(Entity)
            .columns([Column::UserId, Column::Key, Column::Holder, Column::UntilMs])
            .values_panic(row)
            .on_conflict(replace_expired)
            .to_owned();
        if db.execute(&insert).await?.rows_affected() == 1 {
            return Ok(Acquisition::Acquired);
        }
        // The row is absent if its holder has released it since the insert. The client then tries again.
        let row = Entity::find_by_id((self.user.0, self.key.clone())).one(db).await?;
        let done = row.and_then(|row| row.request.zip(row.reply));
        Ok(done.map_or(Acquisition::HeldByOther, |(request, reply)| {
            Acquisition::Completed(CompletedRequest { request, reply })
        }))
    }

    /// The condition of every write: the row is held by this request and has no reply.
    fn is_held(&self) -> sea_orm::Condition {
        sea_orm::Condition::all()
            .add(Column::UserId.eq(self.user.0))
            .add(Column::Key.eq(self.key.as_str()))
            .add(Column::Holder.eq(self.holder.as_str()))
            .add(Column::Reply.is_null())
    }

    /// Renews the lease. Returns `false` if another request has taken it.
    ///
    /// # Errors
    /// Any database error.
    pub async fn renew(&self, db: &impl ConnectionTrait) -> Result<bool, DbErr> {
        let update = Entity::update_many().filter(self.is_held());
        let renewed = update.col_expr(Column::UntilMs, lease::end(db)).exec(db).await?;
        Ok(renewed.rows_affected == 1)
    }

    /// Stores the reply for [`RETENTION`]. Call it in the transaction that creates the resource. Returns `false` if
    /// another request has taken the lease; the caller must roll back then.
    ///
    /// # Errors
    /// Any database error.
    pub async fn store_reply(&self, db: &impl ConnectionTrait, done: CompletedRequest) -> Result<bool, DbErr> {
        let update = Entity::update_many()
            .filter(self.is_held())
            .col_expr(Column::UntilMs, crate::in_ms(db, crate::millis(RETENTION)))
            .col_expr(Column::Request, Expr::value(done.request))
            .col_expr(Column::Reply, Expr::value(done.reply));
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Releases the lease of a request that created nothing. A stored reply is not deleted.
    ///
    /// # Errors
    /// Any database error.
    pub async fn release(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        let delete = Entity::delete_many().filter(self.is_held());
        delete.exec(db).await.map(|_| ())
    }
}

/// Deletes replies after their retention, replies beyond [`MAX_REPLIES`] of an account, and leases that expired longer
/// than [`RETENTION`] ago. Returns the number of rows.
///
/// Expired leases stay for that long because their request may only be slow: if no other request takes the key, it can
/// still store its reply.
///
/// # Errors
/// Any database error.
pub async fn delete_expired(db: &impl ConnectionTrait) -> Result<u64, DbErr> {
    let until = || Expr::col(Column::UntilMs);
    let old_reply = Column::Reply.is_not_null().and(until().lte(crate::now_ms(db)));
    let old_lease = until().lte(crate::in_ms(db, -crate::millis(RETENTION)));
    let delete = Entity::delete_many().filter(old_reply.or(old_lease));
    let mut deleted = delete.exec(db).await?.rows_affected;
    let above_limit = Entity::find()
        .select_only()
        .column(Column::UserId)
        .group_by(Column::UserId)
        .having(Column::Key.count().gt(MAX_REPLIES));
    for user in above_limit.into_tuple::<i64>().all(db).await? {
        deleted += delete_oldest(db, user).await?;
    }
    Ok(deleted)
}

/// Deletes the replies of an account beyond [`MAX_REPLIES`], the oldest first.
async fn delete_oldest(db: &impl ConnectionTrait, user: i64) -> Result<u64, DbErr> {
    let replies = Column::UserId.eq(user).and(Column::Reply.is_not_null());
    let oldest_kept = Entity::find()
        .select_only()
        .column(Column::UntilMs)
        .filter(replies.clone())
        .order_by_desc(Column::UntilMs)
        .offset(MAX_REPLIES - 1)
        .limit(1);
    let Some(oldest_kept) = oldest_kept.into_tuple::<i64>().one(db).await? else {
        return Ok(0);
    };
    let older = Entity::delete_many().filter(replies.and(Column::UntilMs.lt(oldest_kept)));
    Ok(older.exec(db).await?.rows_affected)
}
