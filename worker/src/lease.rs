//! Renewal of the lease while an attempt runs.
//!
//! *Problem.* A worker may die, freeze or lose its network in the middle of a task. The task must not wait for it
//! forever, and two workers must not both finish it.
//!
//! *Mechanism.* A claim sets the task to `processing`, increments its `attempt` and starts a lease of [`LEASE`] on the
//! clock of the database. This module renews the lease at least every two seconds, in the same write as the progress.
//! The sweeper returns tasks whose lease expired.
//!
//! *Invariants.* Each write of an attempt requires `status = 'processing' AND attempt = …`. A worker that was frozen
//! therefore changes no row after its task was claimed again or canceled: its renewal matches no row, and the attempt
//! ends as [`Outcome::Lost`](crate::outcome::Outcome::Lost).
//!
//! *Rejected.* A connection or transaction held for the whole attempt: a pool is too small for it, and a broken
//! connection would end hours of work.

use crate::database::QUERY_TIMEOUT;
use domain::protocol::Progress;
use entity::task::{Claim, LEASE};
use entity::{DatabaseConnection, with_timeout};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// Minimum time between two renewals.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two renewals without progress. A cancel is noticed within this time.
const IDLE_TICKS: u32 = 2;

/// Renews the lease and writes the progress; returns when the claim is lost. While the database is away it retries
/// until the lease must have expired.
pub(crate) async fn renew_until_lost(db: &DatabaseConnection, claim: Claim, mut progress: watch::Receiver<Progress>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let (mut renewed_at, mut idle_ticks) = (Instant::now(), 0);
    loop {
        ticks.tick().await;
        idle_ticks += 1;
        let has_progress = progress.has_changed().unwrap_or(false);
        if !has_progress && idle_ticks < IDLE_TICKS {
            continue;
        }
        idle_ticks = 0;
        let written = has_progress
            .then(|| serde_json::to_value(&*progress.borrow_and_update()).ok())
            .flatten();
        // The lease starts when the database runs the query, which is not before this moment.
        let started = Instant::now();
        match with_timeout(QUERY_TIMEOUT, claim.renew(db, written)).await {
            Ok(true) => renewed_at = started,
            Ok(false) => return tracing::info!("the claim is lost: the task was canceled, removed or claimed again"),
            Err(error) if renewed_at.elapsed() > LEASE => {
                return tracing::warn!(%error, "the lease expired while the database was away");
            }
            Err(error) => tracing::warn!(%error, "failed to renew the lease"),
        }
    }
}
