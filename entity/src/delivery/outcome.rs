//! Outcomes of attempts at deliveries: for the deliveries, their endpoints, and the URLs of tasks.
//!
//! *Problem.* An outcome may come late: the account may have changed the URL or disabled the endpoint during the
//! attempt, and another worker may have taken the delivery since.
//!
//! *Mechanism.* The rows of all endpoints are locked first, so that requests change them before or after all of this.
//! An outcome changes a delivery only if it is that of its latest attempt, and an endpoint only if it still has the URL
//! of the attempt. An endpoint is disabled together with the deliveries that wait for it.

use super::{Claimed, Column, Entity, disabled_by, end_waiting};
use crate::event::{self, New as Event};
use crate::task;
use crate::webhook::{self, Reason};
use domain::TaskId;
use domain::webhook::GIVE_UP_AFTER;
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, ExprTrait, UpdateMany};
use std::collections::BTreeMap;
use std::time::Duration;

/// An attempt that has ended.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The delivery with this attempt.
    pub claimed: Claimed,
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
    /// The receiver wants no more messages at this URL.
    Gone {
        /// Time until the next attempt, for an endpoint that has another URL by now.
        pause: Option<Duration>,
    },
    /// Nothing was sent, for a reason on our side. The delivery is due again.
    Released,
}

/// The error of attempts that were answered with a status of failure.
const STATUS: &str = "status";

impl Settled {
    /// The row of its endpoint by id, if the endpoint still has the URL of the attempt.
    fn current<'a>(&self, endpoints: &'a BTreeMap<i64, webhook::Model>) -> Option<&'a webhook::Model> {
        let endpoint = endpoints.get(&self.claimed.endpoint.id)?;
        let is_same = endpoint
            .url
            .as_ref()
            .is_none_or(|url| *url == self.claimed.delivery.url);
        is_same.then_some(endpoint)
    }

    /// The task whose own URL is gone.
    fn gone_of_task(&self) -> Option<TaskId> {
        let is_gone = self.claimed.endpoint.url.is_none() && matches!(self.outcome, Outcome::Gone { .. });
        self.claimed.delivery.task_id.filter(|_| is_gone).map(TaskId)
    }
}

/// Records the outcomes of attempts. Disables endpoints that are gone or fail, and removes URLs of tasks that are gone.
///
/// # Errors
/// Any database error.
pub async fn settle(db: &DatabaseTransaction, settled: &[Settled]) -> Result<(), DbErr> {
    let mut events = Vec::new();
    let gone: BTreeMap<TaskId, &Settled> = settled
        .iter()
        .filter_map(|one| Some((one.gone_of_task()?, one)))
        .collect();
    for (task, one) in &gone {
        if task::forget_webhook(db, *task).await? {
            let data = disabled_by(&one.claimed.delivery, &one.claimed.endpoint);
            events.push(Event::of_disabled_webhook(&data)?);
        }
    }
    let ids = settled.iter().map(|one| one.claimed.endpoint.id);
    let endpoints = webhook::lock(db, ids.collect::<Vec<_>>()).await?;
    let endpoints: BTreeMap<_, _> = endpoints.into_iter().map(|one| (one.id, one)).collect();
    let disabled = change_endpoints(db, settled, &endpoints).await?;
    settle_deliveries(db, settled, &endpoints).await?;
    for (endpoint, one) in disabled {
        end_waiting(db, endpoint.id, None).await?;
        let data = disabled_by(&one.claimed.delivery, &endpoint);
        events.push(Event::of_disabled_webhook(&data)?);
    }
    for (task, one) in gone {
        end_waiting(db, one.claimed.endpoint.id, Some(task)).await?;
    }
    event::append(db, events).await
}

/// Changes endpoints by the outcomes at their present URLs. Returns those that this has disabled, each with the attempt
/// that was the reason.
async fn change_endpoints<'a>(
    db: &DatabaseTransaction,
    settled: &'a [Settled],
    endpoints: &BTreeMap<i64, webhook::Model>,
) -> Result<Vec<(webhook::Model, &'a Settled)>, DbErr> {
    let mut disabled = Vec::new();
    let is_enabled = |one: &&webhook::Model| one.url.is_some() && one.disabled_at.is_none();
    for endpoint in endpoints.values().filter(is_enabled) {
        let of_endpoint = |one: &&Settled| one.current(endpoints).is_some_and(|one| one.id == endpoint.id);
        let outcomes = || settled.iter().filter(of_endpoint);
        let has_succeeded = outcomes().any(|one| one.outcome == Outcome::Delivered);
        let gone = outcomes().find(|one| matches!(one.outcome, Outcome::Gone { .. }));
        let failed = outcomes().find(|one| matches!(one.outcome, Outcome::Failed { .. }));
        let reason = match (gone, failed) {
            (Some(gone), _) => Some((Reason::Gone, gone)),
            (None, Some(failed)) if !has_succeeded && endpoint.is_failing_for(GIVE_UP_AFTER) => {
                Some((Reason::Failing, failed))
            }
            _ => None,
        };
        if let Some((reason, one)) = reason {
            let endpoint = webhook::disable(db, endpoint.id, reason).await?;
            disabled.extend(endpoint.map(|endpoint| (endpoint, one)));
        } else if has_succeeded && endpoint.failing_since.is_some() {
            webhook::set_failing(db, endpoint.id, false).await?;
        } else if !has_succeeded && failed.is_some() && endpoint.failing_since.is_none() {
            webhook::set_failing(db, endpoint.id, true).await?;
        }
    }
    Ok(disabled)
}

async fn settle_deliveries(
    db: &DatabaseTransaction,
    settled: &[Settled],
    endpoints: &BTreeMap<i64, webhook::Model>,
) -> Result<(), DbErr> {
    let mut delivered: BTreeMap<Option<u16>, Vec<(String, i32)>> = BTreeMap::new();
    for one in settled {
        let delivery = &one.claimed.delivery;
        match one.outcome {
            Outcome::Delivered => {
                let same = delivered.entry(one.status_code).or_default();
                same.push((delivery.id.clone(), delivery.attempt));
            }
            Outcome::Failed { error, pause } => fail(db, one, error, pause).await?,
            Outcome::Gone { pause } => {
                let is_current = one.current(endpoints).is_some();
                fail(db, one, STATUS, pause.filter(|_| !is_current)).await?;
            }
            Outcome::Released => {
                let update = if_latest(Entity::update_many(), one).col_expr(Column::RunAtMs, crate::now_ms(db));
                update.exec(db).await?;
            }
        }
    }
    for (status, attempts) in delivered {
        let is_latest = Expr::tuple([Expr::col(Column::Id), Expr::col(Column::Attempt)]);
        let update = of_attempt(status)
            .filter(Column::RunAtMs.is_not_null())
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
        .col_expr(Column::StatusCode, Expr::value(status.map(i32::from)))
        .col_expr(Column::AttemptedAt, Expr::value(crate::now()))
}

/// Limits an update to the delivery of an attempt, while it is the latest one and the delivery has not ended.
fn if_latest(update: UpdateMany<Entity>, settled: &Settled) -> UpdateMany<Entity> {
    let delivery = &settled.claimed.delivery;
    update
        .filter(Column::RunAtMs.is_not_null())
        .filter(Column::Id.eq(delivery.id.as_str()))
        .filter(Column::Attempt.eq(delivery.attempt))
}

async fn fail(db: &DatabaseTransaction, settled: &Settled, error: &str, pause: Option<Duration>) -> Result<(), DbErr> {
    let update = if_latest(of_attempt(settled.status_code), settled)
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
