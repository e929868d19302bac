//! Returns tasks of workers that are gone: those whose lease expired, and at the start those of processes that were
//! killed on this machine ([`Scratch::dead`](crate::Scratch)).
//!
//! *Guarantee.* A task is `processing` for at most a lease and an interval after its worker stopped renewing. An
//! expired lease counts as a failed attempt; after the third one the task ends as failed, so that a task that kills its
//! workers does not do so forever.

use crate::database::BACKGROUND_TIMEOUT;
use crate::env::Env;
use entity::{DatabaseTransaction, DbErr, task, with_timeout};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Name in `/api/health` and in metrics.
pub(super) const NAME: &str = "sweeper";
const INTERVAL: Duration = Duration::from_secs(5);
/// Interval between two tries to return the tasks of killed processes, while the database is away.
const RECLAIM_INTERVAL: Duration = Duration::from_secs(1);

/// Returns tasks until `shutdown`.
pub(super) async fn run(env: &Env, shutdown: &CancellationToken) {
    let dead = env.scratch.dead();
    let mut is_reclaimed = dead.is_empty();
    while !shutdown.is_cancelled() {
        if !is_reclaimed {
            is_reclaimed = return_tasks(env, async |db| task::return_tasks_of(db, dead).await).await;
        }
        return_tasks(env, async |db| task::sweep(db).await).await;
        let pause = if is_reclaimed { INTERVAL } else { RECLAIM_INTERVAL };
        shutdown.run_until_cancelled(sleep(pause)).await;
    }
}

/// Runs a write that returns tasks, publishes that they have changed, and wakes a worker for them. `false` when the
/// write failed.
async fn return_tasks(env: &Env, write: impl AsyncFnOnce(&DatabaseTransaction) -> Result<task::Swept, DbErr>) -> bool {
    let swept = match with_timeout(BACKGROUND_TIMEOUT, entity::write(&env.db, write)).await {
        Ok(swept) => swept,
        Err(error) => {
            tracing::warn!(%error, "failed to return tasks of workers that are gone; retrying later");
            return false;
        }
    };
    let (returned, failed) = (swept.returned.len(), swept.failed.len());
    if returned + failed == 0 {
        return true;
    }
    tracing::warn!(returned, failed, "returned tasks of workers that are gone");
    metrics::counter!("rushes_leases_expired_total").increment((returned + failed) as u64);
    for (account, task) in swept.returned.into_iter().chain(swept.failed) {
        env.queue.publish_update(account, task);
    }
    if let Err(error) = env.queue.wake().await {
        tracing::debug!(error = format!("{error:#}"), "failed to wake a worker");
    }
    true
}
