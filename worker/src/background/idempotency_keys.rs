//! Deletes idempotency keys that have expired, and the oldest ones of accounts that have too many
//! (`entity::idempotency`).
//!
//! *Guarantee.* The table of idempotency keys does not grow without end. A late deletion is harmless, because an
//! expired key is not found.

use crate::database::BACKGROUND_TIMEOUT;
use crate::env::Env;
use entity::{idempotency, with_timeout};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Name in `/api/health` and in metrics.
pub(super) const NAME: &str = "idempotency-keys";
const INTERVAL: Duration = Duration::from_secs(60);

/// Deletes expired keys until `shutdown`.
pub(super) async fn run(env: &Env, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        let deleted = with_timeout(BACKGROUND_TIMEOUT, idempotency::delete_expired(&env.db));
        if let Some(Err(error)) = shutdown.run_until_cancelled(deleted).await {
            tracing::warn!(%error, "failed to delete expired idempotency keys; retrying later");
        }
        shutdown.run_until_cancelled(sleep(INTERVAL)).await;
    }
}
