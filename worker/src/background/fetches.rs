//! Fetches files from URLs that users gave (`app::uploads::fetched`).
//!
//! *Guarantee.* A fetch that is due begins within [`POLL`] if a worker has a place for it. When this process is killed,
//! another one continues after the lease of the upload; at a shutdown, at once.
//!
//! Only this loop looks for work, so an idle worker makes one query per interval.

use crate::env::Env;
use app::uploads::fetched::take_due;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Name in `/api/health` and in metrics.
pub(super) const NAME: &str = "fetches";
const POLL: Duration = Duration::from_secs(1);
/// Maximum number of files that a worker fetches at the same time. A fetch needs bandwidth, and hardly any memory.
const MAX_FETCHES: usize = 8;
/// Time in which the fetches in progress store their bytes after a shutdown began.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

/// Fetches files until `shutdown`, and then releases those in progress.
pub(super) async fn run(env: &Env, shutdown: &CancellationToken) {
    let mut running = FuturesUnordered::new();
    while !shutdown.is_cancelled() {
        while running.len() < MAX_FETCHES {
            match shutdown.run_until_cancelled(take_due(&env.uploads)).await {
                Some(Ok(Some(due))) => running.push(due.attempt(&env.client, shutdown)),
                Some(Err(error)) => {
                    tracing::warn!(?error, "failed to find files to fetch; retrying later");
                    break;
                }
                Some(Ok(None)) | None => break,
            }
        }
        tokio::select! {
            Some(ended) = running.next() => report(ended),
            () = sleep(POLL) => {}
            () = shutdown.cancelled() => {}
        }
    }
    let released = async {
        while let Some(ended) = running.next().await {
            report(ended);
        }
    };
    if timeout(RELEASE_TIMEOUT, released).await.is_err() {
        tracing::warn!("some fetches did not end in time; others continue them when their leases have ended");
    }
}

fn report(ended: Result<(), app::Error>) {
    if let Err(error) = ended {
        tracing::warn!(?error, "an attempt to fetch a file was not recorded; retrying later");
    }
}
