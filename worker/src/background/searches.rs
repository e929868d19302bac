//! Removes the searches in the background of past days (`app::searches`).
//!
//! *Guarantee.* A result can be fetched for 24 hours; two days later its day is over for all of them. Several days are
//! removed again, so that a worker that was off for some days leaves nothing.

use crate::env::Env;
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use storage::Key;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Name in `/api/health` and in metrics.
pub(super) const NAME: &str = "searches";
const INTERVAL: Duration = Duration::from_hours(1);
/// Ages of the days that are removed.
const DAYS: RangeInclusive<u64> = 2..=8;

/// Removes old searches until `shutdown`.
pub(super) async fn run(env: &Env, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        if let Some(Err(error)) = shutdown.run_until_cancelled(remove_old(env)).await {
            tracing::warn!(%error, "failed to remove old searches; retrying later");
        }
        shutdown.run_until_cancelled(sleep(INTERVAL)).await;
    }
}

async fn remove_old(env: &Env) -> Result<(), storage::Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let today = now.as_secs() / 86_400;
    for age in DAYS {
        let day = Key::searches_of_day(today.saturating_sub(age));
        env.storage.delete_prefix(&day).await?;
    }
    Ok(())
}
