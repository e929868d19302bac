//! Releases the tasks in progress when the time for their end is over.
//!
//! *Guarantee.* [`Settings::shutdown_grace`](crate::Settings) after the shutdown began, each attempt in progress ends
//! and returns its task to the waiting ones, without counting a failure. Until then the log says regularly what the
//! process waits for.

use crate::env::Env;
use crate::jobs::process_task::running_tasks;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Name in `/api/health` and in metrics.
pub(super) const NAME: &str = "shutdown-timer";
/// Interval of the log lines.
const INTERVAL: Duration = Duration::from_secs(5);

/// Waits for the shutdown, then for the grace period, and releases the tasks.
pub(super) async fn run(env: &Env, shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    let deadline = Instant::now() + env.settings.shutdown_grace;
    loop {
        let tasks = running_tasks();
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            tracing::warn!(tasks, "releasing tasks in progress; they will be processed again later");
            return env.release.cancel();
        }
        if tasks > 0 {
            let seconds = left.as_secs_f32().ceil();
            tracing::info!(
                tasks,
                seconds,
                "waiting for tasks in progress; after that time they are released"
            );
        }
        sleep(left.min(INTERVAL)).await;
    }
}
