//! The background tasks `sweeper` and `trash`, which run in every worker.
//!
//! - `sweeper` puts tasks of workers that are gone back into the queue: those whose lease expired, and at the start
//!   those of processes that were killed on this machine ([`Scratch::dead`](crate::Scratch)).
//! - `trash` removes files that no row names, and idempotency keys that are old enough.
//!
//! They are separate loops, because removing files may take long, and tasks must not wait for that.

use crate::env::Env;
use background::Background;
use entity::{DatabaseTransaction, DbErr, idempotency, task, trash, with_timeout};
use std::time::Duration;
use storage::Target;
use tokio_util::sync::CancellationToken;

/// Interval between two searches for expired leases.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Interval between two tries to return the tasks of killed processes, while the database is away.
const RECLAIM_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Interval between two removals of files and idempotency keys.
const TRASH_INTERVAL: Duration = Duration::from_secs(60);

/// Delay of the next try to remove a file.
const REMOVE_RETRY_DELAY: Duration = Duration::from_secs(600);

/// Maximum number of files that are removed in one round.
const REMOVE_BATCH: u64 = 500;

/// Timeout of each query. A query without one could block its loop forever.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs both background tasks until `shutdown`.
pub(crate) async fn run(env: Env, shutdown: CancellationToken, background: Background) {
    tokio::join!(
        background.supervise("sweeper", || sweep_loop(&env, &shutdown)),
        background.supervise("trash", || trash_loop(&env, &shutdown)),
    );
}

async fn sweep_loop(env: &Env, shutdown: &CancellationToken) {
    let mut is_reclaimed = env.scratch.dead().is_empty();
    while !shutdown.is_cancelled() {
        if !is_reclaimed {
            let dead = env.scratch.dead();
            is_reclaimed = log_error(&return_tasks(env, async |db| task::return_tasks_of(db, dead).await).await);
        }
        log_error(&return_tasks(env, async |db| task::sweep(db).await).await);
        let pause = if is_reclaimed {
            SWEEP_INTERVAL
        } else {
            RECLAIM_RETRY_INTERVAL
        };
        shutdown.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
}

async fn trash_loop(env: &Env, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        let round = async {
            log_error(&remove_due_files(env).await);
            log_error(
                &with_timeout(QUERY_TIMEOUT, idempotency::delete_expired(&env.db))
                    .await
                    .map(drop),
            );
        };
        shutdown.run_until_cancelled(Box::pin(round)).await;
        shutdown.run_until_cancelled(tokio::time::sleep(TRASH_INTERVAL)).await;
    }
}

/// Logs an error; `true` when there is none.
fn log_error(result: &Result<(), DbErr>) -> bool {
    if let Err(error) = result {
        tracing::warn!(%error, "a sweep failed; it will be repeated");
    }
    result.is_ok()
}

/// Runs a write that returns tasks of workers that are gone, and wakes a worker for them.
async fn return_tasks(
    env: &Env,
    write: impl AsyncFnOnce(&DatabaseTransaction) -> Result<task::SweepCounts, DbErr>,
) -> Result<(), DbErr> {
    let swept = with_timeout(QUERY_TIMEOUT, entity::write(&env.db, write)).await?;
    if swept == task::SweepCounts::default() {
        return Ok(());
    }
    tracing::warn!(
        returned = swept.returned,
        failed = swept.failed,
        "returned tasks of workers that are gone"
    );
    metrics::counter!("rushes_leases_expired_total").increment(swept.returned + swept.failed);
    if let Err(error) = env.queue.wake().await {
        tracing::debug!(error = format!("{error:#}"), "failed to wake a worker");
    }
    Ok(())
}

/// Removes one batch of files that are due on the trash list.
async fn remove_due_files(env: &Env) -> Result<(), DbErr> {
    let keys = with_timeout(QUERY_TIMEOUT, trash::due(&env.db, REMOVE_BATCH)).await?;
    for key in keys {
        let removed = match Target::parse(&key) {
            Ok(target) => env.storage.remove(&target).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match removed {
            Ok(()) => with_timeout(QUERY_TIMEOUT, trash::remove_key(&env.db, &key)).await?,
            Err(error) => {
                tracing::warn!(key, error, "failed to remove a file; it stays on the trash list");
                // Due again later, so that keys that fail do not fill each batch.
                with_timeout(QUERY_TIMEOUT, trash::add_keys(&env.db, &[key], REMOVE_RETRY_DELAY)).await?;
            }
        }
    }
    Ok(())
}
