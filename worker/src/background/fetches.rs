//! Fetches files from URLs that users gave (`app::uploads::fetched`).
//!
//! *Guarantee.* A fetch that is due begins within [`POLL`] if a worker has a place for it. When this process is killed,
//! another one continues after the lease of the upload; at a shutdown, at once.
//!
//! Only this loop looks for work, so an idle worker makes one query per interval.

use crate::env::Env;
use app::uploads::fetched::take_due;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Name in `/api/health` and in metrics.
pub(super) const NAME: &str = "fetches";
const POLL: Duration = Duration::from_secs(1);
/// Maximum number of files that a worker fetches at the same time. A fetch needs bandwidth, and hardly any memory.
const MAX_FETCHES: usize = 64;
/// Time in which the fetches in progress store their bytes after a shutdown began.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

/// Fetches files until `shutdown`, and then releases those in progress.
pub(super) async fn run(env: &Env, shutdown: &CancellationToken) {
    let mut running = JoinSet::new();
    while !shutdown.is_cancelled() {
        while running.len() < MAX_FETCHES && !shutdown.is_cancelled() {
            // Not canceled: it would keep a fetch that was just taken from others until the end of its lease.
            match take_due(&env.uploads).await {
                Ok(Some(due)) => {
                    let (client, shutdown) = (env.client.clone(), shutdown.clone());
                    running.spawn(async move { due.attempt(&client, &shutdown).await });
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(?error, "failed to find files to fetch; retrying later");
                    break;
                }
            }
        }
        tokio::select! {
            Some(ended) = running.join_next() => report(ended),
            () = sleep(POLL) => {}
            () = shutdown.cancelled() => {}
        }
    }
    let released = async {
        while let Some(ended) = running.join_next().await {
            report(ended);
        }
    };
    if timeout(RELEASE_TIMEOUT, released).await.is_err() {
        tracing::warn!("some fetches did not end in time; others continue them when their leases have ended");
    }
}

fn report(ended: Result<Result<(), app::Error>, JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(?error, "an attempt to fetch a file was not recorded; retrying later"),
        Err(error) => tracing::error!(%error, "an attempt to fetch a file panicked; retrying later"),
    }
}
