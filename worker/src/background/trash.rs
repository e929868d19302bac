//! Removes the files that are due on the trash list (`entity::trash`).
//!
//! *Guarantee.* A file whose rows are gone is removed from storage, also when the process that deleted the rows died
//! before it could, and when storage was away for a while: a key leaves the list only after its file is removed.

use crate::database::BACKGROUND_TIMEOUT;
use crate::env::Env;
use entity::{DbErr, trash, with_timeout};
use std::time::Duration;
use storage::Target;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Name in `/api/health` and in metrics.
pub(super) const NAME: &str = "trash";
const INTERVAL: Duration = Duration::from_secs(60);
/// Delay of the next try to remove a file.
const RETRY_DELAY: Duration = Duration::from_secs(600);
/// Maximum number of files that are removed in one round.
const BATCH: u64 = 500;

/// Removes files until `shutdown`.
pub(super) async fn run(env: &Env, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        let removed = Box::pin(remove_due_files(env));
        if let Some(Err(error)) = shutdown.run_until_cancelled(removed).await {
            tracing::warn!(%error, "failed to read or write the trash list; retrying later");
        }
        shutdown.run_until_cancelled(sleep(INTERVAL)).await;
    }
}

/// Removes one batch of files.
async fn remove_due_files(env: &Env) -> Result<(), DbErr> {
    let keys = with_timeout(BACKGROUND_TIMEOUT, trash::due(&env.db, BATCH)).await?;
    for key in keys {
        let removed = match Target::parse(&key) {
            Ok(target) => env.storage.remove(&target).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match removed {
            Ok(()) => with_timeout(BACKGROUND_TIMEOUT, trash::remove_key(&env.db, &key)).await?,
            Err(error) => {
                tracing::warn!(key, error, "failed to remove a file; it stays on the trash list");
                // Due again later, so that keys that fail do not fill each batch.
                with_timeout(BACKGROUND_TIMEOUT, trash::add_keys(&env.db, &[key], RETRY_DELAY)).await?;
            }
        }
    }
    Ok(())
}
