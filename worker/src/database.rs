//! Timeouts of the queries of a worker.

use crate::failure::{internal, postponed};
use domain::Failure;
use entity::{DbErr, with_timeout};
use std::time::Duration;

/// Timeout of one query. Several retries fit into one lease.
pub(crate) const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeout of one query of a background task, which has no lease to keep. A query without one could block its loop
/// forever.
pub(crate) const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for which an attempt whose media are rendered retries a query before it gives up: rendering again costs more
/// than waiting for the database.
pub(crate) const OUTAGE_TIMEOUT: Duration = Duration::from_secs(120);

/// Runs a query within [`QUERY_TIMEOUT`].
///
/// # Errors
/// [`FailureClass::Postponed`](domain::FailureClass::Postponed) when the database is away, times out or lacks a
/// resource. The cause is logged only.
pub(crate) async fn query<T>(query: impl Future<Output = Result<T, DbErr>>) -> Result<T, Failure> {
    with_timeout(QUERY_TIMEOUT, query).await.map_err(|error| {
        if entity::is_unavailable(&error) || entity::is_exhausted(&error) {
            tracing::warn!(%error, "the database is away");
            postponed("the database did not answer")
        } else {
            internal(&error)
        }
    })
}
