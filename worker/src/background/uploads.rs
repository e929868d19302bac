//! Removes resumable uploads that were not continued in time (`entity::upload`).
//!
//! *Guarantee.* An abandoned upload leaves no row, no file and no multipart upload: the row is deleted last, so that a
//! failure is tried again. Its files go on the trash list.

use crate::database::BACKGROUND_TIMEOUT;
use crate::env::Env;
use entity::upload::{self, Expired};
use entity::with_timeout;
use std::error::Error;
use std::time::Duration;
use storage::Key;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Name in `/api/health` and in metrics.
pub(super) const NAME: &str = "uploads";
const INTERVAL: Duration = Duration::from_secs(60);
/// Maximum number of uploads that are removed in one round.
const BATCH: u64 = 100;

/// Removes uploads until `shutdown`.
pub(super) async fn run(env: &Env, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        let removed = Box::pin(remove_expired(env));
        if let Some(Err(error)) = shutdown.run_until_cancelled(removed).await {
            tracing::warn!(%error, "failed to find abandoned uploads; retrying later");
        }
        shutdown.run_until_cancelled(sleep(INTERVAL)).await;
    }
}

async fn remove_expired(env: &Env) -> Result<(), entity::DbErr> {
    let holder = Uuid::new_v4().to_string();
    let expired = upload::expired(&env.db, &holder, BATCH);
    for expired in with_timeout(BACKGROUND_TIMEOUT, expired).await? {
        if let Err(error) = remove(env, &expired).await {
            // One that fails does not keep the others; its lease ends before the next round.
            let upload = &expired.upload.id;
            tracing::warn!(upload, error, "failed to remove an abandoned upload; retrying later");
        }
    }
    Ok(())
}

async fn remove(env: &Env, expired: &Expired) -> Result<(), Box<dyn Error + Send + Sync>> {
    let upload = &expired.upload;
    let key = Key::parse(&upload.key)?;
    env.storage.abort_multipart(&key, upload.open_multipart()).await?;
    Ok(with_timeout(BACKGROUND_TIMEOUT, expired.delete(&env.db)).await?)
}
