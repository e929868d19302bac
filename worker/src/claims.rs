//! Finding work: one loop for each process claims the next task whenever there is a free slot.
//!
//! A process looks when it is woken, when one of its tasks has ended, and every [`LOOK`] by itself: the queue makes it
//! faster, and nothing depends on it.

use crate::lease::ANSWER_WITHIN;
use crate::{Env, process_task};
use background::Background;
use domain::ClaimPolicy;
use entity::task::{self, Claim, LEASE, Model};
use entity::{DbErr, in_time};
use futures::FutureExt;
use queue::Wakeups;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often an idle process looks by itself.
const LOOK: Duration = Duration::from_secs(1);

/// Works on tasks, `settings.tasks` at a time, until `shutdown`; returns when those in progress have ended.
pub(crate) async fn run(env: Env, shutdown: CancellationToken, background: &Background) {
    let wakeups = env.queue.listen(shutdown.clone(), background.clone());
    let crew = Crew {
        slots: Arc::new(Semaphore::new(env.settings.tasks.max(1))),
        held: Held::default(),
        tracker: TaskTracker::new(),
    };
    background
        .keep("worker", || look(&env, &crew, &wakeups, &shutdown))
        .await;
    crew.tracker.close();
    crew.tracker.wait().await;
    wakeups.closed().await;
}

/// The tasks in progress, which outlive a panic of the loop.
struct Crew {
    slots: Arc<Semaphore>,
    held: Held,
    tracker: TaskTracker,
}

async fn look(env: &Env, crew: &Crew, wakeups: &Wakeups, shutdown: &CancellationToken) {
    let Crew { slots, held, tracker } = crew;
    let mut claims = Claims::new(env.clone(), held.clone());
    let free = async || slots.clone().acquire_owned().await.expect("the slots are never closed");
    while let Some(slot) = shutdown.run_until_cancelled(free()).await {
        // Not given up at a shutdown: a claim that nobody works on would wait for the end of its lease.
        match claims.next().await {
            Ok(Some(task)) => {
                tracker.spawn(work(env.clone(), task, held.clone(), slot));
                // This process may be busy now, and another one idle.
                tracker.spawn(wake_another(env.clone()));
            }
            Ok(None) => {
                drop(slot);
                let _ = shutdown.run_until_cancelled(timeout(LOOK, wakeups.woken())).await;
            }
            Err(error) => {
                drop(slot);
                tracing::warn!(%error, "failed to claim");
                shutdown.run_until_cancelled(tokio::time::sleep(LOOK)).await;
            }
        }
    }
}

/// The claims of this process.
struct Claims {
    env: Env,
    held: Held,
    policy: ClaimPolicy,
    /// A claim failed before this moment, or a loop before this one: the database may have made it all the same, or may make
    /// it yet, until the lease of such a claim is over.
    unsure_until: Instant,
}

impl Claims {
    fn new(env: Env, held: Held) -> Self {
        Self {
            env,
            held,
            policy: ClaimPolicy::default(),
            unsure_until: Instant::now() + LEASE,
        }
    }

    async fn next(&mut self) -> Result<Option<Model>, DbErr> {
        let (db, worker) = (&self.env.db, self.env.scratch.worker());
        if Instant::now() < self.unsure_until {
            let lost = in_time(ANSWER_WITHIN, task::release_others(db, worker, &self.held.all())).await?;
            if lost > 0 {
                tracing::warn!(lost, "gave back tasks whose claim was not heard of");
            }
        }
        let claimed = in_time(ANSWER_WITHIN, task::claim_next(db, self.policy, worker)).await;
        if claimed.is_err() {
            self.unsure_until = Instant::now() + LEASE;
        }
        let claimed = claimed?;
        if let Some(task) = &claimed {
            self.policy.after = task.owner();
            self.held.enter(Claim::of(task));
        }
        Ok(claimed)
    }
}

/// The claims that are worked on.
#[derive(Clone, Debug, Default)]
struct Held(Arc<Mutex<Vec<Claim>>>);

impl Held {
    fn enter(&self, claim: Claim) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(claim);
    }

    fn leave(&self, claim: Claim) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|other| *other != claim);
    }

    fn all(&self) -> Vec<Claim> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Works on a task. After a panic its lease runs out, which counts as a failed try.
async fn work(env: Env, task: Model, held: Held, slot: OwnedSemaphorePermit) {
    let attempt = AssertUnwindSafe(process_task::run(&env, &task)).catch_unwind();
    if attempt.await.is_err() {
        tracing::error!(task.id = task.id, "the work on a task panicked");
    }
    held.leave(Claim::of(&task));
    drop(slot);
}

async fn wake_another(env: Env) {
    if let Err(error) = env.queue.wake().await {
        tracing::debug!(error = format!("{error:#}"), "no other worker was woken");
    }
}
