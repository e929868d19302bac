//! Work that a client cannot cancel by disconnecting.

use crate::Error;
use anyhow::Context as _;
use tracing::Instrument;

/// Runs `work` to its end, also when this future is dropped. For transactions whose files must be kept or removed after
/// them.
///
/// # Errors
/// Those of `work`; an internal error when it panics.
pub(crate) async fn uninterrupted<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let work = tokio::spawn(work.in_current_span());
    work.await.context("a use case panicked")?
}
