//! Removes the rows and files of imports that their owners have removed, or that ended long ago, and old answers of the
//! lookup service (`app::imports`).
//!
//! *Guarantee.* They are removed within a minute, a bounded number of rows in a transaction, so other writers wait
//! little.

use crate::env::Env;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Name in `/api/health` and in metrics.
pub(super) const NAME: &str = "import-retention";
const INTERVAL: Duration = Duration::from_secs(10);

/// Removes imports until `shutdown`.
pub(super) async fn run(env: &Env, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        let removed = shutdown.run_until_cancelled(remove_some(env)).await;
        match removed {
            Some(Ok(true)) => continue,
            Some(Err(error)) => tracing::warn!(?error, "failed to remove imports; retrying later"),
            Some(Ok(false)) | None => {}
        }
        shutdown.run_until_cancelled(sleep(INTERVAL)).await;
    }
}

/// Returns `true` if there may be more.
async fn remove_some(env: &Env) -> Result<bool, app::Error> {
    let has_removed = app::imports::remove_some(&env.uploads).await?;
    Ok(app::imports::forget_some_lookups(&env.uploads).await? || has_removed)
}
