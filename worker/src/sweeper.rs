//! The loop that finds the lost: expired leases, due tasks that nobody rang for, files that no row names.

use crate::Env;
use entity::{DbErr, task, trash};
use queue::Job;
use std::time::{Duration, Instant};
use storage::Target;
use tokio_util::sync::CancellationToken;

/// Leases and lost rings.
const SWEEP: Duration = Duration::from_secs(10);
/// Due tasks where no other process can ring for us.
const ASK: Duration = Duration::from_secs(1);
/// Files.
const TIDY: Duration = Duration::from_secs(60);

/// Most tasks rung for at once, most files removed at once.
const BATCH: usize = 500;

pub(crate) async fn run(env: Env, shutdown: CancellationToken) {
    let every = if env.doorbell.is_shared() { SWEEP } else { ASK };
    let (mut swept, mut tidied) = (None::<Instant>, None::<Instant>);
    let due = |last: Option<Instant>, every| last.is_none_or(|at| at.elapsed() >= every);
    while !shutdown.is_cancelled() {
        if due(swept, SWEEP) {
            tell(sweep(&env).await);
            swept = Some(Instant::now());
        }
        tell(ring(&env).await);
        if due(tidied, TIDY) {
            tell(tidy(&env).await);
            tidied = Some(Instant::now());
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = shutdown.cancelled() => {}
        }
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
    if rung.is_empty() {
        Ok(())
    } else {
        task::mark_rung(&env.db, &rung).await
    }
}

async fn tidy(env: &Env) -> Result<(), DbErr> {
    for key in trash::due(&env.db, u64::try_from(BATCH).unwrap_or(u64::MAX)).await? {
        let removed = match Target::parse(&key) {
            Ok(target) => env.storage.remove(&target).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match removed {
            Ok(()) => trash::keep(&env.db, &key).await?,
            Err(error) => tracing::warn!(key, error, "failed to remove a file; it stays on the list"),
        }
    }
    Ok(())
}
