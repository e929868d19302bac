//! Restarts of a loop that lives on a connection to Redis.

use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// First pause before a restart; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A loop that ran for longer was healthy: its restart begins with the first pause again.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// Runs a loop again and again until `shutdown`, with a pause after each end. `name` is for the log.
pub(crate) async fn restart_until<R>(shutdown: &CancellationToken, name: &'static str, mut run: impl FnMut() -> R)
where
    R: Future<Output = anyhow::Result<()>>,
{
    let mut pause = PAUSE;
    while !shutdown.is_cancelled() {
        let started = Instant::now();
        let result = run().await;
        if shutdown.is_cancelled() {
            return;
        }
        let error = result.err().map(|error| format!("{error:#}"));
        tracing::warn!(name, error, "a connection to Redis ended; restarting");
        if started.elapsed() > HEALTHY_AFTER {
            pause = PAUSE;
        }
        shutdown.run_until_cancelled(sleep(pause)).await;
        pause = PAUSE_MAX.min(pause * 2);
    }
}
