//! Renewal of the lease of a task while an attempt runs, in the same write as its progress.

use crate::env::Env;
use domain::protocol::Progress;
use entity::lease::{LeaseState, Renewal};
use entity::task::Claimed;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// Minimum time between two renewals.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two renewals without progress. A cancel is noticed within this time.
const IDLE_TICKS: u32 = 2;

/// Renews the lease, writes the progress and publishes each new percent; returns when the claim is lost.
pub(crate) async fn renew_until_lost(env: &Env, task: &Claimed, mut progress: watch::Receiver<Progress>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let (mut renewal, mut idle_ticks, mut published_percent) = (Renewal::begin(), 0, 0);
    loop {
        ticks.tick().await;
        idle_ticks += 1;
        let has_progress = progress.has_changed().unwrap_or(false);
        if !has_progress && idle_ticks < IDLE_TICKS {
            continue;
        }
        idle_ticks = 0;
        let latest = has_progress.then(|| progress.borrow_and_update().clone());
        let written = latest.as_ref().and_then(|latest| serde_json::to_value(latest).ok());
        match renewal.renew(task.claim().renew(&env.db, written)).await {
            LeaseState::Held => {
                if let Some(latest) = latest.filter(|latest| latest.percent != published_percent) {
                    published_percent = latest.percent;
                    env.queue.publish_update(task.owner(), task.task_id());
                }
            }
            LeaseState::Unconfirmed => {}
            LeaseState::Lost => {
                return tracing::info!("the claim is lost: the task was canceled, removed or claimed again");
            }
            LeaseState::Ended => return tracing::warn!("the lease ended while the database was away"),
        }
    }
}
