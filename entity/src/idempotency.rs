//! Table `idempotency_keys`: requests that make something, each under a key that its account chose.
//!
//! The first request with a key holds it under a lease while it works, and leaves its reply in the transaction that
//! makes the thing: there is never one without the other. A key whose time is over is as good as absent.

use domain::UserId;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{OnConflict, Query};
use sea_orm::{ExprTrait, QueryOrder, QuerySelect};
use std::time::Duration;

/// How long a key is held without a beat.
pub const LEASE: Duration = Duration::from_secs(30);

/// How long a reply is kept.
pub const KEPT: Duration = Duration::from_secs(24 * 3_600);

/// Most replies that are kept of one account: the latest.
pub const KEPT_MOST: u64 = 10_000;

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
#[allow(missing_docs, reason = "columns say what they are")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// The request that holds it; it fences the writes of one that lost its lease.
    pub holder: String,
    /// The end of the lease, then of the time for which the reply is kept.
    pub until_ms: i64,
    /// What was asked for; two requests are the same when these texts are.
    pub request: Option<String>,
    /// The reply, letter by letter; null while the request is at work.
    pub reply: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Whose turn it is under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The caller's: nobody was before it, or nothing came of that.
    First,
    /// That of another request, which is at work.
    Other,
    /// Nobody's: it was done.
    Done(Done),
}

/// A request that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What was asked for.
    pub request: String,
    /// What was answered.
    pub reply: String,
}

/// What a request holds: a key of an account, and the name that fences its writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    user: UserId,
    key: String,
    holder: String,
}

impl Hold {
    /// What a request will hold when it is its turn. `holder` is a name that no request had before.
    #[must_use]
    pub const fn new(user: UserId, key: String, holder: String) -> Self {
        Self { user, key, holder }
    }

    /// Takes the key under a lease of [`LEASE`], unless another request has it.
    ///
    /// # Errors
    /// Those of the database; the key may be taken all the same, until it is released.
    pub async fn take(&self, db: &impl ConnectionTrait) -> Result<Turn, DbErr> {
        let mine = [
            self.user.0.into(),
            self.key.as_str().into(),
            self.holder.as_str().into(),
            crate::in_ms(db, crate::millis(LEASE)),
        ];
        let over = OnConflict::columns([Column::UserId, Column::Key])
            .update_columns([Column::Holder, Column::UntilMs])
            .values([Column::Request, Column::Reply].map(|column| (column, Expr::value(Option::<String>::None))))
            .action_and_where(Expr::col((Entity, Column::UntilMs)).lte(crate::now_ms(db)))
            .to_owned();
        let insert = Query::insert()
            .into_table(Entity)
            .columns([Column::UserId, Column::Key, Column::Holder, Column::UntilMs])
            .values_panic(mine)
            .on_conflict(over)
            .to_owned();
        if db.execute(&insert).await?.rows_affected() == 1 {
            return Ok(Turn::First);
        }
        // Absent when its holder gave it up just now.
        let row = Entity::find_by_id((self.user.0, self.key.clone())).one(db).await?;
        let done = row.and_then(|row| row.request.zip(row.reply));
        Ok(done.map_or(Turn::Other, |(request, reply)| Turn::Done(Done { request, reply })))
    }

    fn mine(&self) -> sea_orm::Condition {
        sea_orm::Condition::all()
            .add(Column::UserId.eq(self.user.0))
            .add(Column::Key.eq(self.key.as_str()))
            .add(Column::Holder.eq(self.holder.as_str()))
            .add(Column::Reply.is_null())
    }

    /// Renews the lease. `false`: another request has the key now.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn beat(&self, db: &impl ConnectionTrait) -> Result<bool, DbErr> {
        let update = Entity::update_many().filter(self.mine());
        let lease = crate::in_ms(db, crate::millis(LEASE));
        let beaten = update.col_expr(Column::UntilMs, lease).exec(db).await?;
        Ok(beaten.rows_affected == 1)
    }

    /// Keeps the reply for [`KEPT`]; call it in the transaction that does what was asked for. `false`: another request has
    /// the key now, and this one must not do it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn finish(&self, db: &impl ConnectionTrait, done: Done) -> Result<bool, DbErr> {
        let update = Entity::update_many()
            .filter(self.mine())
            .col_expr(Column::UntilMs, crate::in_ms(db, crate::millis(KEPT)))
            .col_expr(Column::Request, Expr::value(done.request))
            .col_expr(Column::Reply, Expr::value(done.reply));
        Ok(update.exec(db).await?.rows_affected == 1)
    }

    /// Gives the key up: nothing was done. A reply that was kept stays.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn release(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        let mine = Entity::delete_many().filter(self.mine());
        mine.exec(db).await.map(|_| ())
    }
}

/// Removes the replies that were kept long enough or are more than [`KEPT_MOST`] of an account, and the keys of requests that
/// vanished as long ago: one that is only late finds its key again as long as nobody else wants it.
///
/// # Errors
/// Those of the database.
pub async fn forget(db: &impl ConnectionTrait) -> Result<u64, DbErr> {
    let until = || Expr::col(Column::UntilMs);
    let kept_enough = Column::Reply.is_not_null().and(until().lte(crate::now_ms(db)));
    let vanished = until().lte(crate::in_ms(db, -crate::millis(KEPT)));
    let over = Entity::delete_many().filter(kept_enough.or(vanished));
    let mut forgotten = over.exec(db).await?.rows_affected;
    let crowded = Entity::find()
        .select_only()
        .column(Column::UserId)
        .group_by(Column::UserId)
        .having(Column::Key.count().gt(KEPT_MOST));
    for user in crowded.into_tuple::<i64>().all(db).await? {
        forgotten += forget_oldest(db, user).await?;
    }
    Ok(forgotten)
}

async fn forget_oldest(db: &impl ConnectionTrait, user: i64) -> Result<u64, DbErr> {
    let kept = Column::UserId.eq(user).and(Column::Reply.is_not_null());
    let first_kept = Entity::find()
        .select_only()
        .column(Column::UntilMs)
        .filter(kept.clone())
        .order_by_desc(Column::UntilMs)
        .offset(KEPT_MOST - 1)
        .limit(1);
    let Some(first_kept) = first_kept.into_tuple::<i64>().one(db).await? else {
        return Ok(0);
    };
    let older = Entity::delete_many().filter(kept.and(Column::UntilMs.lt(first_kept)));
    Ok(older.exec(db).await?.rows_affected)
}
