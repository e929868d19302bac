//! The places of a process for clients that watch imports.

use crate::Refusal;
use domain::Code;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum number of clients that watch at the same time.
const MAX: usize = 64;
/// Time after which a place may be free.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The places of a process for clients that watch.
#[derive(Clone)]
pub(crate) struct Watchers(Arc<Semaphore>);

impl Default for Watchers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX)))
    }
}

impl Watchers {
    /// Takes a place, until the permit is dropped.
    ///
    /// # Errors
    /// `event_streams_too_many`.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_| {
            let refusal = Refusal::new(Code::EventStreamsTooMany).retry_after(RETRY_AFTER);
            refusal.detail(format!("accepted: up to {MAX} clients that watch imports"))
        })
    }
}
