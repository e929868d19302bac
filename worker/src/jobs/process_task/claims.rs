//! Claiming: one loop per process claims the next due task whenever a slot is free.
//!
//! *Mechanism.* The loop waits for a free slot, claims the next task in one statement (`entity::task::claim_next`) and
//! spawns its attempt. Without a due task it waits for a wake-up of the queue, but at most [`POLL_INTERVAL`]. The queue
//! only makes it faster; a due task is also found without it. After a claim the loop looks again soon, and doubles the
//! time as long as it finds nothing. While Redis is away, clients that send the next task when one has ended would
//! otherwise get one task per second.
//!
//! *Invariants.* Each claim has an attempt in this process. A claim whose statement failed or timed out may have been
//! committed all the same, also one of a loop that panicked. For one lease after such an error, the loop returns all
//! tasks that are claimed under the name of this process and that it does not process.

use super::attempt;
use crate::database::QUERY_TIMEOUT;
use crate::env::Env;
use background::Background;
use domain::ClaimPolicy;
use entity::lease::LEASE;
use entity::task::{self, Claim, Claimed};
use entity::{DbErr, with_timeout};
use futures::FutureExt;
use queue::Wakeups;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Maximum interval in which an idle process looks for due tasks, and pause after an error.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// First interval after a claim; it doubles up to [`POLL_INTERVAL`].
const FIRST_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Processes tasks until `shutdown`, at most `settings.max_tasks` at the same time. Returns when those in progress have
/// ended.
pub(crate) async fn run(env: Env, shutdown: CancellationToken, background: &Background) {
    let wakeups = env.queue.listen(shutdown.clone(), background.clone());
    let attempts = Attempts {
        slots: Arc::new(Semaphore::new(env.settings.max_tasks.max(1))),
        claims: ActiveClaims::default(),
        tracker: TaskTracker::new(),
    };
    background
        .supervise("worker", || claim_loop(&env, &attempts, &wakeups, &shutdown))
        .await;
    attempts.tracker.close();
    attempts.tracker.wait().await;
    wakeups.closed().await;
}

/// The attempts in progress. They continue when the claim loop panics and restarts.
struct Attempts {
    slots: Arc<Semaphore>,
    claims: ActiveClaims,
    tracker: TaskTracker,
}

async fn claim_loop(env: &Env, attempts: &Attempts, wakeups: &Wakeups, shutdown: &CancellationToken) {
    let Attempts { slots, claims, tracker } = attempts;
    let mut claimer = Claimer::new(env.clone(), claims.clone());
    let mut poll_interval = FIRST_POLL_INTERVAL;
    let free_slot = async || slots.clone().acquire_owned().await.expect("the slots are never closed");
    while let Some(slot) = shutdown.run_until_cancelled(free_slot()).await {
        // Not canceled by the shutdown: an abandoned claim would block its task until the lease expires.
        match claimer.next().await {
            Ok(Some(task)) => {
                poll_interval = FIRST_POLL_INTERVAL;
                env.queue.publish_update(task.owner(), task.task_id());
                tracker.spawn(run_attempt(task.claim(), claims.clone(), slot, {
                    let env = env.clone();
                    async move { attempt::run(&env, &task).await }
                }));
                // More tasks may be due, and this process may have no other free slot.
                tracker.spawn(wake_another(env.clone()));
            }
            Ok(None) => {
                drop(slot);
                let _ = shutdown
                    .run_until_cancelled(timeout(poll_interval, wakeups.woken()))
                    .await;
                poll_interval = POLL_INTERVAL.min(poll_interval * 2);
            }
            Err(error) => {
                drop(slot);
                tracing::warn!(%error, "failed to claim a task");
                shutdown.run_until_cancelled(tokio::time::sleep(POLL_INTERVAL)).await;
            }
        }
    }
}

/// Claims tasks for this process.
struct Claimer {
    env: Env,
    active: ActiveClaims,
    policy: ClaimPolicy,
    /// Until this moment there may be claims of this process that it does not know; see the invariants above.
    uncertain_until: Instant,
}

impl Claimer {
    fn new(env: Env, active: ActiveClaims) -> Self {
        Self {
            env,
            active,
            policy: ClaimPolicy::default(),
            uncertain_until: Instant::now() + LEASE,
        }
    }

    /// Claims the next task; `None` when no task is due.
    async fn next(&mut self) -> Result<Option<Claimed>, DbErr> {
        let (db, worker) = (&self.env.db, self.env.scratch.worker());
        if Instant::now() < self.uncertain_until {
            let active = self.active.all();
            let released = with_timeout(QUERY_TIMEOUT, task::release_unknown(db, worker, &active)).await?;
            if released > 0 {
                tracing::warn!(released, "released tasks whose claim was not acknowledged");
            }
        }
        let claimed = with_timeout(QUERY_TIMEOUT, task::claim_next(db, self.policy, worker)).await;
        if claimed.is_err() {
            self.uncertain_until = Instant::now() + LEASE;
        }
        let claimed = claimed?;
        if let Some(task) = &claimed {
            self.policy.after = task.owner();
            self.active.insert(task.claim());
        }
        Ok(claimed)
    }
}

/// The claims of the attempts in progress.
#[derive(Clone, Debug, Default)]
struct ActiveClaims(Arc<Mutex<Vec<Claim>>>);

impl ActiveClaims {
    fn insert(&self, claim: Claim) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(claim);
    }

    fn remove(&self, claim: Claim) {
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|other| *other != claim);
    }

    fn all(&self) -> Vec<Claim> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs an attempt to its end. A panic of its work is an outcome (`attempt.rs`). After any other panic, such as one
/// while the outcome was written, the claim stays in the list, so that it is not released as unknown: the lease
/// expires, which counts as a failed attempt.
async fn run_attempt(
    claim: Claim,
    claims: ActiveClaims,
    slot: OwnedSemaphorePermit,
    attempt: impl Future<Output = ()>,
) {
    if AssertUnwindSafe(attempt).catch_unwind().await.is_ok() {
        claims.remove(claim);
    } else {
        tracing::error!(task.id = claim.task().0, "the attempt at a task panicked");
    }
    drop(slot);
}

async fn wake_another(env: Env) {
    if let Err(error) = env.queue.wake().await {
        tracing::debug!(error = format!("{error:#}"), "failed to wake another worker");
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[tokio::test]
    async fn a_panic_frees_the_slot_and_its_claim_is_not_released_without_a_failure() {
        let home = tempfile::tempdir().unwrap();
        let env = fixture::env(home.path()).await;
        let claim = fixture::claimed(&env).await.claim();
        let (slots, claims) = (Arc::new(Semaphore::new(1)), ActiveClaims::default());
        claims.insert(claim);
        let slot = slots.clone().acquire_owned().await.unwrap();
        run_attempt(claim, claims.clone(), slot, async { panic!("by the test") }).await;
        assert_eq!((slots.available_permits(), claims.all()), (1, vec![claim]));
        let mut claimer = Claimer::new(env.clone(), claims.clone());
        assert!(claimer.next().await.unwrap().is_none());
        let task = task::by_id(&env.db, claim.task()).await.unwrap().unwrap();
        assert_eq!(task.status, task::TaskStatus::Processing);
    }
}
