//! Removes rows of datasets that no query reads any more (`app::datasets`).
//!
//! *Guarantee.* The rows of a version are removed after a later load has ended, or after its own load has ended without
//! success. Few rows are removed in one transaction, so other writers wait little.

use crate::env::Env;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Name in `/api/health` and in metrics.
pub(super) const NAME: &str = "datasets";
const INTERVAL: Duration = Duration::from_secs(30);

/// Removes unused rows until `shutdown`.
pub(super) async fn run(env: &Env, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        let removed = shutdown
            .run_until_cancelled(app::datasets::remove_unused(&env.uploads))
            .await;
        match removed {
            Some(Ok(true)) => continue,
            Some(Err(error)) => tracing::warn!(?error, "failed to remove rows of datasets; retrying later"),
            Some(Ok(false)) | None => {}
        }
        shutdown.run_until_cancelled(sleep(INTERVAL)).await;
    }
}
