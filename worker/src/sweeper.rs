//! The loop that finds the lost: expired leases, due tasks that nobody rang for, files that no row names, replies
//! that were kept long enough.

use crate::Env;
use background::Background;
use entity::{DbErr, idempotency, in_time, task, trash};
use queue::Job;
use std::time::{Duration, Instant};
use storage::Target;
use tokio_util::sync::CancellationToken;

/// Leases and lost rings.
const SWEEP: Duration = Duration::from_secs(10);
/// Due tasks where no other process can ring for us.
const ASK: Duration = Duration::from_secs(1);
/// Files and replies.
const TIDY: Duration = Duration::from_secs(60);

/// A file that could not be removed is tried again then.
const LATER: Duration = Duration::from_secs(600);

/// Most tasks rung for at once, most files removed at once.
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
    let every = if env.doorbell.is_shared() { SWEEP } else { ASK };
    let mut swept = None::<Instant>;
    while !shutdown.is_cancelled() {
        if swept.is_none_or(|at| at.elapsed() >= SWEEP) {
            tell(in_time(PATIENCE, sweep(env)).await);
            swept = Some(Instant::now());
        }
        tell(in_time(PATIENCE, ring(env)).await);
        shutdown.run_until_cancelled(tokio::time::sleep(every)).await;
    }
}

async fn clear(env: &Env, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        let tidied = async {
            tell(tidy(env).await);
            tell(in_time(PATIENCE, idempotency::forget(&env.db)).await.map(drop));
        };
        shutdown.run_until_cancelled(Box::pin(tidied)).await;
        shutdown.run_until_cancelled(tokio::time::sleep(TIDY)).await;
    }
}

fn tell(result: Result<(), DbErr>) {
    if let Err(error) = result {
        tracing::warn!(%error, "a sweep failed; the next one follows");
    }
}

async fn sweep(env: &Env) -> Result<(), DbErr> {
    let swept = entity::write(&env.db, async |db| task::sweep(db).await).await?;
    if swept != task::Swept::default() {
        tracing::warn!(
            returned = swept.returned,
            given_up = swept.given_up,
            "took tasks from workers that vanished"
        );
        metrics::counter!("rushes_leases_expired_total").increment(swept.returned + swept.given_up);
    }
    Ok(())
}

async fn ring(env: &Env) -> Result<(), DbErr> {
    let room = env.doorbell.room().await.min(BATCH);
    if room == 0 {
        return Ok(());
    }
    let due = task::due(&env.db, u64::try_from(room).unwrap_or(u64::MAX)).await?;
    let mut rung = Vec::with_capacity(due.len());
    for task in due {
        match env.doorbell.ring(Job { task }).await {
            Ok(()) => rung.push(task),
            Err(error) => {
                tracing::warn!(%error, "failed to ring");
                break;
            }
        }
    }
    // A bell that only this process hears says nothing to the others, which ask for themselves.
    if rung.is_empty() || !env.doorbell.is_shared() {
        Ok(())
    } else {
        task::mark_rung(&env.db, &rung).await
    }
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
