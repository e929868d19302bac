//! Workers: claim due tasks and process them, and return tasks of workers that are gone.
//!
//! ```text
//!  claims ──► process_task ──► inputs ──► render ──► store ──► settle
//!                  │                        │
//!                  └► lease (renewal)       └► child (probe, transcode, verify)
//! ```
//!
//! The worker never opens media itself. Media are opened in [`child`] processes, each in a sandbox.

pub mod child;
mod claims;
mod database;
mod env;
mod failures;
mod inputs;
mod lease;
mod outcome;
mod process_task;
mod render;
mod report;
mod reuse;
mod scratch;
mod session;
mod settle;
mod store;
mod sweeper;

pub use env::{Env, Settings};
pub use scratch::Scratch;

use background::Background;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Interval of the log lines that tell what a shutdown waits for.
const SHUTDOWN_LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Runs a worker until `shutdown`. Returns when the tasks in progress have ended; those that are still running after
/// [`Settings::shutdown_grace`] are released for other workers.
pub async fn run(env: Env, shutdown: CancellationToken, background: Background) {
    let sweeper = sweeper::run(env.clone(), shutdown.clone(), background.clone());
    let sweeper = AbortOnDropHandle::new(tokio::spawn(sweeper));
    let release = env.release.clone();
    let (grace, shutdown_begun, tasks) = (env.settings.shutdown_grace, shutdown.clone(), background.clone());
    let shutdown_timer = AbortOnDropHandle::new(tokio::spawn(async move {
        let timer = || async {
            shutdown_begun.cancelled().await;
            wait_for_tasks(grace).await;
            release.cancel();
        };
        tasks.supervise("shutdown-timer", timer).await;
    }));
    claims::run(env, shutdown, &background).await;
    drop((shutdown_timer, sweeper));
}

/// Waits for `grace` and logs how many tasks are still in progress.
async fn wait_for_tasks(grace: Duration) {
    let deadline = Instant::now() + grace;
    loop {
        let tasks = process_task::running_tasks();
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return tracing::warn!(tasks, "releasing tasks in progress; they will be processed again later");
        }
        if tasks > 0 {
            let seconds = left.as_secs_f32().ceil();
            tracing::info!(
                tasks,
                seconds,
                "waiting for tasks in progress; after that time they are released"
            );
        }
        tokio::time::sleep(left.min(SHUTDOWN_LOG_INTERVAL)).await;
    }
}
