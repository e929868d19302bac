//! Owning a task: beats while the work goes on, and the one write at its end.

use crate::process_task::Done;
use crate::{Env, store};
use domain::protocol::Progress;
use domain::{Failure, FailureKind, TaskId};
use entity::task::{Claim, LEASE, Model};
use entity::trace::Findings;
use entity::{DatabaseConnection, DatabaseTransaction, DbErr, cost};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// How an attempt ended.
pub(crate) enum Ended {
    /// Every output is verified and stored.
    Done(Box<Done>),
    /// An earlier task had made the same; the row says so already.
    Reused(TaskId),
    /// It did not work out; what is known of it.
    Failed(Failure, Findings),
    /// It was canceled, or the lease ran out: the row belongs to somebody else.
    Lost,
    /// The worker shuts down.
    Released,
}

/// A row write a second at most while the work moves; at least every second one, so that a cancel is seen.
const TICK: Duration = Duration::from_secs(1);
const SILENT_TICKS: u32 = 2;

/// Renews the lease and shows progress; returns when the claim is lost. A database that is away is waited for as long
/// as the lease can still be ours.
pub(crate) async fn hold(db: &DatabaseConnection, claim: Claim, mut progress: watch::Receiver<Progress>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let (mut held_at, mut silent) = (Instant::now(), 0);
    loop {
        ticks.tick().await;
        silent += 1;
        let moved = progress.has_changed().unwrap_or(false);
        if !moved && silent < SILENT_TICKS {
            continue;
        }
        silent = 0;
        let shown = moved
            .then(|| serde_json::to_value(&*progress.borrow_and_update()).ok())
            .flatten();
        let begun = Instant::now();
        match claim.beat(db, shown).await {
            Ok(true) => held_at = begun,
            Ok(false) => return tracing::info!("the claim is gone: canceled, removed, or taken over"),
            Err(error) if held_at.elapsed() > LEASE => {
                return tracing::warn!(%error, "the lease ran out while the database was away");
            }
            Err(error) => tracing::warn!(%error, "failed to renew the lease"),
        }
    }
}

/// How long a finished attempt waits for a database that is away.
const SETTLE_PATIENCE: Duration = Duration::from_secs(120);

/// Writes the end of an attempt. Whatever was stored and is not named by then goes with the trash.
pub(crate) async fn settle(env: &Env, task: &Model, ended: Ended, took: Duration) {
    let claim = Claim::of(task);
    let begun = Instant::now();
    let mut pause = Duration::from_millis(200);
    let held = loop {
        match write(env, task, &ended).await {
            Ok(held) => break held,
            Err(error) if begun.elapsed() > SETTLE_PATIENCE => {
                tracing::error!(%error, "gave up settling; the sweeper will find the task");
                break false;
            }
            Err(error) => tracing::warn!(%error, "failed to settle, trying again"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    };
    tell(&ended, held, took);
    if !held || !matches!(ended, Ended::Done(_) | Ended::Reused(_)) {
        store::discard(env, claim).await;
    }
}

async fn write(env: &Env, task: &Model, ended: &Ended) -> Result<bool, DbErr> {
    let claim = Claim::of(task);
    match ended {
        Ended::Done(done) => {
            let Done { made, cost } = done.as_ref();
            let written = async |db: &DatabaseTransaction| {
                let held = claim.succeed(db, made.clone()).await?;
                if let (true, Some((class, sample))) = (held, cost) {
                    cost::record(db, class, sample).await?;
                }
                Ok(held)
            };
            entity::write(&env.db, written).await
        }
        Ended::Failed(failure, findings) => {
            let retry = retry_after(task, failure.kind);
            entity::write(&env.db, async |db| claim.fail(db, failure, retry, findings).await).await
        }
        Ended::Reused(_) => Ok(true),
        Ended::Lost => Ok(false),
        Ended::Released => claim.release(&env.db).await,
    }
}

fn retry_after(task: &Model, kind: FailureKind) -> Option<Duration> {
    let failures = u32::try_from(task.failures).unwrap_or(u32::MAX).saturating_add(1);
    // Spread by id and attempt: neighbors that failed together do not come back together.
    let jitter = (task.id.unsigned_abs() * 7_919 + task.attempt.unsigned_abs() as u64 * 104_729) % 1_001;
    kind.retry_after(failures, u16::try_from(jitter).unwrap_or_default())
}

fn tell(ended: &Ended, held: bool, took: Duration) {
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match ended {
        Ended::Done(_) if held => tracing::info!(took_ms, "processed"),
        Ended::Done(_) => tracing::warn!(took_ms, "done, but the claim was lost; the work is discarded"),
        Ended::Reused(earlier) => tracing::info!(took_ms, earlier = earlier.0, "processed before"),
        Ended::Failed(failure, _) => {
            metrics::counter!("rushes_task_failures_total", "code" => failure.code.as_str()).increment(1);
            tracing::warn!(took_ms, code = failure.code.as_str(), detail = failure.detail, "failed");
        }
        Ended::Lost => tracing::info!(took_ms, "stopped"),
        Ended::Released => tracing::info!(took_ms, "given back"),
    }
}
