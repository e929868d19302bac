//! Creates the tasks of files that guests have sent (`app::uploads::guests`), if the request with the last byte could
//! not.
//!
//! *Guarantee.* A received file of a guest becomes a task within [`INTERVAL`] after the database is back, or after the
//! lease of the process that died has ended.

use crate::env::Env;
use app::uploads::guests::finish_received;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Name in `/api/health` and in metrics.
pub(super) const NAME: &str = "guest-uploads";
const INTERVAL: Duration = Duration::from_secs(5);

/// Creates tasks until `shutdown`.
pub(super) async fn run(env: &Env, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        if let Err(error) = Box::pin(finish_received(&env.uploads)).await {
            tracing::warn!(?error, "failed to find files of guests; retrying later");
        }
        shutdown.run_until_cancelled(sleep(INTERVAL)).await;
    }
}
