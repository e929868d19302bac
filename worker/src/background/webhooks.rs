//! Turns events into deliveries, sends those that are due, and deletes old ones (`app::webhooks`).
//!
//! *Guarantee.* An event becomes a delivery, and a due delivery is sent, within [`POLL`] if a worker has a place for
//! it. When this process is killed, another one sends what it had taken after the lease of the delivery.
//!
//! Only this loop looks for work, so an idle worker makes a few short queries per interval.

use crate::database::BACKGROUND_TIMEOUT;
use crate::env::Env;
use app::webhooks::{RETENTION, Sender, dispatch};
use entity::{delivery, with_timeout};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Name in `/api/health` and in metrics.
pub(super) const NAME: &str = "webhooks";
const POLL: Duration = Duration::from_millis(500);
/// Time for the attempts in progress after a shutdown began.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval in which old deliveries are deleted, and their number.
const DELETE_EVERY: Duration = Duration::from_mins(1);
const DELETE_BATCH: u64 = 1_000;

/// Sends messages until `shutdown`, and then ends the attempts in progress.
pub(super) async fn run(env: &Env, shutdown: &CancellationToken) {
    let mut sender = Sender::new(env.uploads.clone(), env.client.clone());
    let (mut dispatch_at, mut delete_at) = (Instant::now(), Instant::now());
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
        if delete_at <= Instant::now() {
            let deleted = delivery::delete_ended(&env.db, RETENTION, DELETE_BATCH);
            report("delete old messages", with_timeout(BACKGROUND_TIMEOUT, deleted).await);
            delete_at = Instant::now() + DELETE_EVERY;
        }
        tokio::select! {
            () = sender.wait(), if sender.is_waiting() => {}
            () = sleep(POLL.min(dispatch_at.saturating_duration_since(Instant::now()))) => {}
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

/// Logs an error. The next round tries again.
fn report<T, E: std::fmt::Debug>(what: &str, result: Result<T, E>) -> Option<T> {
    result
        .inspect_err(|error| tracing::warn!(?error, "failed to {what}; retrying later"))
        .ok()
}
