//! Works on imports (`app::imports`).
//!
//! *Guarantee.* An import that is due begins within [`POLL`] if a worker has a place for it. When this process is
//! killed, another one goes on after the end of the lease; at a shutdown, at once.
//!
//! Each step ends after some rows, and the next one is that of the import that waits longest. So a large import delays
//! the others little.

use crate::env::Env;
use app::imports::take_due;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Name in `/api/health` and in metrics.
pub(super) const NAME: &str = "imports";
const POLL: Duration = Duration::from_secs(1);
/// Maximum number of imports on which a worker works at the same time.
const MAX_IMPORTS: usize = 2;
/// Time in which the steps in progress end after a shutdown began.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

/// Works on imports until `shutdown`, and then releases those in progress.
pub(super) async fn run(env: &Env, shutdown: &CancellationToken) {
    let mut running = JoinSet::new();
    while !shutdown.is_cancelled() {
        let has_place = running.len() < MAX_IMPORTS;
        let taken = if has_place { take(env).await } else { None };
        match taken {
            Some(import) => {
                let (shutdown, lookups) = (shutdown.clone(), env.lookups.clone());
                running.spawn(async move { import.step(lookups.as_ref(), &shutdown).await });
            }
            None => {
                tokio::select! {
                    Some(ended) = running.join_next() => report(ended),
                    () = sleep(POLL) => {}
                    () = shutdown.cancelled() => {}
                }
            }
        }
    }
    let released = async {
        while let Some(ended) = running.join_next().await {
            report(ended);
        }
    };
    if timeout(RELEASE_TIMEOUT, released).await.is_err() {
        tracing::warn!("some imports were not released in time; others continue them when their leases have ended");
    }
}

/// Not canceled: it would keep an import that was just taken from others until the end of its lease.
async fn take(env: &Env) -> Option<app::imports::DueImport> {
    take_due(&env.uploads).await.unwrap_or_else(|error| {
        tracing::warn!(?error, "failed to find imports; retrying later");
        None
    })
}

fn report(ended: Result<Result<(), app::Error>, JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(?error, "a step of an import was not recorded; retrying later"),
        Err(error) => tracing::error!(%error, "a step of an import panicked; retrying later"),
    }
}
