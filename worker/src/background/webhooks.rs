//! Turns events into deliveries, sends those that are due, and deletes old ones (`app::webhooks`).
//!
//! *Guarantee.* An event becomes a delivery, and a due delivery is sent, within [`POLL`] if a worker has a place for
//! it. When this process is killed, another one sends what it had taken after the lease of the delivery.
//!
//! Only this loop looks for work, so an idle worker makes a few short queries per interval.

use crate::database::BACKGROUND_TIMEOUT;
use crate::env::Env;
use app::webhooks::{RETENTION, Sender, dispatch};
use domain::webhook::GIVE_UP_AFTER;
use entity::{delivery, with_timeout};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Name in `/api/health` and in metrics.
pub(super) const NAME: &str = "webhooks";
const POLL: Duration = Duration::from_millis(500);
/// Time for the attempts in progress after a shutdown began.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval in which deliveries that have waited too long are ended and old ones are deleted, and their number. After
/// as many, the next ones follow at once.
const CLEAN_EVERY: Duration = Duration::from_mins(1);
const CLEAN_BATCH: u64 = 1_000;

/// Sends messages until `shutdown`, and then ends the attempts in progress.
pub(super) async fn run(env: &Env, shutdown: &CancellationToken) {
    if env.settings.sealer.is_none() {
        tracing::warn!("this worker sends no webhooks, because it has no RUSHES_SEALING_KEY");
    }
    let mut sender = Sender::new(env.uploads.clone(), env.client.clone());
    // After a time in which no worker was running, what is due is sent before something is ended.
    let (mut dispatch_at, mut clean_at) = (Instant::now(), Instant::now() + CLEAN_EVERY);
    while !shutdown.is_cancelled() {
        if dispatch_at <= Instant::now() {
            let has_more = report("read the events", dispatch(&env.uploads).await).unwrap_or(false);
            dispatch_at = if has_more {
                Instant::now()
            } else {
                Instant::now() + POLL
            };
        }
        // What is not recorded is sent again, so nothing new is sent until it is.
        if report("record attempts", sender.record().await).is_some() {
            report("find messages to send", Box::pin(sender.begin()).await);
        }
        if clean_at <= Instant::now() {
            let has_more = report("end and delete old messages", clean(env).await).unwrap_or(false);
            clean_at = Instant::now() + if has_more { Duration::ZERO } else { CLEAN_EVERY };
        }
        tokio::select! {
            () = sender.wait(), if sender.is_waiting() => {}
            () = sleep(POLL.min(dispatch_at.min(clean_at).saturating_duration_since(Instant::now()))) => {}
            () = shutdown.cancelled() => {}
        }
    }
    let ended = async {
        while sender.is_waiting() {
            sender.wait().await;
        }
    };
    if timeout(RELEASE_TIMEOUT, ended).await.is_err() {
        tracing::info!("some messages were not answered in time; they are sent again when their leases have ended");
    }
    report("record attempts", sender.record().await);
}

/// Ends deliveries that have waited too long, and deletes old ones. Returns `true` if there may be more.
async fn clean(env: &Env) -> Result<bool, entity::DbErr> {
    let ended = delivery::end_overdue(&env.db, GIVE_UP_AFTER, CLEAN_BATCH);
    let ended = with_timeout(BACKGROUND_TIMEOUT, ended).await?;
    let deleted = delivery::delete_ended(&env.db, RETENTION, CLEAN_BATCH);
    let deleted = with_timeout(BACKGROUND_TIMEOUT, deleted).await?;
    Ok(ended.max(deleted) == CLEAN_BATCH)
}

/// Logs an error. The next round tries again.
fn report<T, E: std::fmt::Debug>(what: &str, result: Result<T, E>) -> Option<T> {
    result
        .inspect_err(|error| tracing::warn!(?error, "failed to {what}; retrying later"))
        .ok()
}
