//! Keeps the tables of the library complete and bounded: creates the videos of sources that have none, and deletes old
//! rows of the log of changes and old events.
//!
//! *Guarantee.* After an upgrade, each source has a video soon, also those that a process of the previous version has
//! received since. A catalog that has not followed the log for [`LOG_AGE`] is filled again.

use crate::database::BACKGROUND_TIMEOUT;
use crate::env::Env;
use entity::{DbErr, event, library_change, task, with_timeout};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Name in `/api/health` and in metrics.
pub(super) const NAME: &str = "videos";
const INTERVAL: Duration = Duration::from_mins(10);
/// Time for which a row of the log of changes is kept.
const LOG_AGE: Duration = Duration::from_hours(7 * 24);

/// Time for which an event is kept.
const EVENT_AGE: Duration = Duration::from_hours(30 * 24);

/// Completes and bounds the tables until `shutdown`.
pub(super) async fn run(env: &Env, shutdown: &CancellationToken) {
    let mut checked = 0;
    while !shutdown.is_cancelled() {
        match shutdown.run_until_cancelled(complete(env, checked)).await {
            Some(Ok(last)) => checked = last,
            Some(Err(error)) => tracing::warn!(%error, "failed to complete the tables of the library; retrying later"),
            None => {}
        }
        shutdown.run_until_cancelled(trim_logs(env)).await;
        shutdown.run_until_cancelled(sleep(INTERVAL)).await;
    }
}

/// Deletes the old rows of both logs, each whether or not the other one can be trimmed.
async fn trim_logs(env: &Env) {
    let changes = with_timeout(BACKGROUND_TIMEOUT, library_change::trim(&env.db, LOG_AGE)).await;
    let events = with_timeout(BACKGROUND_TIMEOUT, event::trim(&env.db, EVENT_AGE)).await;
    for error in [changes.map(drop).err(), events.map(drop).err()].into_iter().flatten() {
        tracing::warn!(%error, "failed to delete old rows of a log; retrying later");
    }
}

/// Creates the videos of the sources with ids above `checked`, and returns the id of the last source.
async fn complete(env: &Env, checked: i64) -> Result<i64, DbErr> {
    // One transaction per video, so there is no time limit for all.
    let (created, last) = task::create_missing_videos(&env.db, checked).await?;
    if created > 0 {
        tracing::info!(created, "created the videos of older sources");
    }
    Ok(last)
}
