//! The loops that find what was lost: tasks of workers that are gone, files that no row names, replies that were kept
//! long enough.

use crate::Env;
use background::Background;
use entity::{DatabaseTransaction, DbErr, idempotency, in_time, task, trash};
use std::time::Duration;
use storage::Target;
use tokio_util::sync::CancellationToken;

/// Leases. The task of a worker that vanished waits for the rest of its lease and this.
const SWEEP: Duration = Duration::from_secs(5);
/// Tasks of killed processes, while the database does not answer.
const AGAIN: Duration = Duration::from_secs(1);
/// Files and replies.
const TIDY: Duration = Duration::from_secs(60);

/// A file that could not be removed is tried again then.
const LATER: Duration = Duration::from_secs(600);

/// Most files removed at once.
const BATCH: usize = 500;

/// How long each of the loop's queries may take: it must not stop because one of them does.
const PATIENCE: Duration = Duration::from_secs(10);

/// Two loops: to remove files may take long, and nobody else finds the lost meanwhile.
pub(crate) async fn run(env: Env, shutdown: CancellationToken, background: Background) {
    tokio::join!(
        background.keep("sweeper", || find(&env, &shutdown)),
        background.keep("trash", || clear(&env, &shutdown)),
    );
}

async fn find(env: &Env, shutdown: &CancellationToken) {
    let mut reclaimed = env.scratch.dead().is_empty();
    while !shutdown.is_cancelled() {
        if !reclaimed {
            let dead = env.scratch.dead();
            reclaimed = tell(&taken_back(env, async |db| task::reclaim(db, dead).await).await);
        }
        tell(&taken_back(env, async |db| task::sweep(db).await).await);
        let pause = if reclaimed { SWEEP } else { AGAIN };
        shutdown.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
}

async fn clear(env: &Env, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        let tidied = async {
            tell(&tidy(env).await);
            tell(&in_time(PATIENCE, idempotency::forget(&env.db)).await.map(drop));
        };
        shutdown.run_until_cancelled(Box::pin(tidied)).await;
        shutdown.run_until_cancelled(tokio::time::sleep(TIDY)).await;
    }
}

/// Whether it went well.
fn tell(result: &Result<(), DbErr>) -> bool {
    if let Err(error) = result {
        tracing::warn!(%error, "a sweep failed; the next one follows");
    }
    result.is_ok()
}

/// Takes tasks back from workers that are gone, and wakes one that lives.
async fn taken_back(
    env: &Env,
    take: impl AsyncFnOnce(&DatabaseTransaction) -> Result<task::Swept, DbErr>,
) -> Result<(), DbErr> {
    let swept = in_time(PATIENCE, entity::write(&env.db, take)).await?;
    if swept == task::Swept::default() {
        return Ok(());
    }
    tracing::warn!(
        returned = swept.returned,
        given_up = swept.given_up,
        "took tasks from workers that vanished"
    );
    metrics::counter!("rushes_leases_expired_total").increment(swept.returned + swept.given_up);
    if let Err(error) = env.queue.wake().await {
        tracing::debug!(error = format!("{error:#}"), "no worker was woken");
    }
    Ok(())
}

async fn tidy(env: &Env) -> Result<(), DbErr> {
    let due = in_time(PATIENCE, trash::due(&env.db, u64::try_from(BATCH).unwrap_or(u64::MAX)));
    for key in due.await? {
        let removed = match Target::parse(&key) {
            Ok(target) => env.storage.remove(&target).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match removed {
            Ok(()) => in_time(PATIENCE, trash::keep(&env.db, &key)).await?,
            Err(error) => {
                tracing::warn!(key, error, "failed to remove a file; it stays on the list");
                // Behind the others, which may be easier.
                in_time(PATIENCE, trash::put(&env.db, &[key], LATER)).await?;
            }
        }
    }
    Ok(())
}
