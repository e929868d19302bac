//! Attempts at deliveries: which are due, the claim, and the outcome.

use super::{Column, Entity, Model};
use crate::{lease, webhook};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{LockBehavior, LockType};
use sea_orm::{DatabaseConnection, DatabaseTransaction, ExprTrait, QueryOrder, QuerySelect, QueryTrait, UpdateMany};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// The oldest deliveries that are due, of all endpoints but these: the ids of message and endpoint, at most `limit`.
/// New messages come before those that are tried again.
///
/// # Errors
/// Any database error.
pub async fn due(db: &impl ConnectionTrait, without: &[i64], limit: u64) -> Result<Vec<(String, i64)>, DbErr> {
    let mut due = Entity::find()
        .select_only()
        .columns([Column::Id, Column::EndpointId])
        .filter(Expr::col(Column::RunAtMs).lte(crate::now_ms(db)));
    if !without.is_empty() {
        due = due.filter(Column::EndpointId.is_not_in(without.iter().copied()));
    }
    due.order_by_asc(Column::RunAtMs)
        .order_by_asc(Column::Id)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await
}

/// A delivery that this process has taken until the end of a lease, with its endpoint.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The delivery. Its attempt is the one of this claim.
    pub delivery: Model,
    /// The endpoint.
    pub endpoint: webhook::Model,
}

/// Takes those of these deliveries that are still due.
///
/// # Errors
/// Any database error. Some may have been taken then, until their leases end.
pub async fn claim(db: &DatabaseConnection, ids: Vec<String>) -> Result<Vec<Claimed>, DbErr> {
    let free = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::Id.is_in(ids))
        .filter(Expr::col(Column::RunAtMs).lte(crate::now_ms(db)))
        // Another worker that takes some of them in another order must not make a deadlock.
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    let update = Entity::update_many()
        .filter(Column::Id.in_subquery(free.into_query()))
        .col_expr(Column::Attempt, Expr::col(Column::Attempt).add(1))
        .col_expr(Column::RunAtMs, lease::end(db));
    let taken = crate::write(db, async |db| update.exec_with_returning(db).await).await?;
    let mut ids: Vec<i64> = taken.iter().map(|delivery| delivery.endpoint_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let endpoints = webhook::by_ids(db, ids).await?;
    let endpoints: HashMap<i64, webhook::Model> = endpoints.into_iter().map(|one| (one.id, one)).collect();
    // Deliveries disappear with their endpoint.
    let with_endpoint = taken.into_iter().filter_map(|delivery| {
        let endpoint = endpoints.get(&delivery.endpoint_id)?.clone();
        Some(Claimed { delivery, endpoint })
    });
    Ok(with_endpoint.collect())
}

/// The outcome of an attempt.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The id of the message.
    pub id: String,
    /// The number of the attempt.
    pub attempt: i32,
    /// The status of the reply, if there was one.
    pub status_code: Option<u16>,
    /// The outcome.
    pub outcome: Outcome,
}

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has accepted the message.
    Delivered,
    /// The attempt has failed.
    Failed {
        /// A word for the reason.
        error: &'static str,
        /// Time until the next attempt; `None` after the last one.
        pause: Option<Duration>,
    },
}

/// Records the outcomes of attempts. An attempt whose delivery was taken by another one since is left out.
///
/// # Errors
/// Any database error.
pub async fn settle(db: &DatabaseTransaction, settled: &[Settled]) -> Result<(), DbErr> {
    let mut delivered: BTreeMap<Option<u16>, Vec<(String, i32)>> = BTreeMap::new();
    for one in settled {
        match one.outcome {
            Outcome::Delivered => {
                let same = delivered.entry(one.status_code).or_default();
                same.push((one.id.clone(), one.attempt));
            }
            Outcome::Failed { error, pause } => fail(db, one, error, pause).await?,
        }
    }
    for (status, attempts) in delivered {
        let is_latest = Expr::tuple([Expr::col(Column::Id), Expr::col(Column::Attempt)]);
        let update = of_attempt(status)
            .filter(is_latest.in_tuples(attempts))
            .col_expr(Column::RunAtMs, Expr::value(Option::<i64>::None))
            .col_expr(Column::EndedAt, Expr::value(crate::now()))
            .col_expr(Column::Error, Expr::value(Option::<String>::None))
            .col_expr(Column::Delivered, Expr::value(true));
        update.exec(db).await?;
    }
    Ok(())
}

/// An update with what each attempt sets.
fn of_attempt(status: Option<u16>) -> UpdateMany<Entity> {
    Entity::update_many()
        .filter(Column::RunAtMs.is_not_null())
        .col_expr(Column::StatusCode, Expr::value(status.map(i32::from)))
        .col_expr(Column::AttemptedAt, Expr::value(crate::now()))
}

async fn fail(db: &DatabaseTransaction, settled: &Settled, error: &str, pause: Option<Duration>) -> Result<(), DbErr> {
    let update = of_attempt(settled.status_code)
        .filter(Column::Id.eq(settled.id.as_str()))
        .filter(Column::Attempt.eq(settled.attempt))
        .col_expr(Column::Failures, Expr::col(Column::Failures).add(1))
        .col_expr(Column::Error, Expr::value(error));
    let update = match pause {
        Some(pause) => update.col_expr(Column::RunAtMs, crate::in_ms(db, crate::millis(pause))),
        None => update
            .col_expr(Column::RunAtMs, Expr::value(Option::<i64>::None))
            .col_expr(Column::EndedAt, Expr::value(crate::now())),
    };
    update.exec(db).await.map(drop)
}
