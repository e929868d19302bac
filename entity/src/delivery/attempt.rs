//! The beginning of attempts at deliveries: which are due, and the claim.

use super::{Column, Entity, Model};
use crate::{lease, webhook};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{LockBehavior, LockType};
use sea_orm::{DatabaseConnection, ExprTrait, QueryOrder, QuerySelect, QueryTrait};
use std::collections::HashMap;

/// Deliveries that are due, of all endpoints but these: the ids of message and endpoint, at most `limit`. New messages
/// come first, the oldest of them before the others, then those that are tried again. So while an endpoint gets new
/// messages as fast as they are sent, its retries wait.
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

/// Takes those of these deliveries that are still due. Their URL is the one that their endpoint has now.
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
    // Deliveries disappear with their endpoint, and have ended if it was disabled since.
    let with_endpoint = taken.into_iter().filter_map(|mut delivery| {
        let endpoint = endpoints.get(&delivery.endpoint_id)?.clone();
        if let Some(url) = &endpoint.url {
            delivery.url.clone_from(url);
        }
        endpoint.disabled_at.is_none().then_some(Claimed { delivery, endpoint })
    });
    Ok(with_endpoint.collect())
}
