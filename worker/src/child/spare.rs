//! The spare child, which is started before it is needed.
//!
//! *Problem.* Loading the shared libraries of FFmpeg takes longer than a probe or a short copy.
//!
//! *Mechanism.* One child is always started ahead. It has loaded its libraries and waits for its session, so it has
//! opened no file. When a task needs a child, the spare one gets the session and enters its sandbox like any other,
//! and the next spare child is started.

use super::starter::{self, PendingStart, StartedChild};
use super::{Child, ChildSettings};
use domain::Failure;
use domain::protocol::Session;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Starts children, and keeps one of them ahead. Dropping it kills that one.
#[derive(Debug)]
pub struct SpareChild {
    settings: ChildSettings,
    pending: Mutex<Option<PendingStart>>,
}

impl SpareChild {
    /// Starts no child yet; the first one is started on demand.
    #[must_use]
    pub const fn new(settings: ChildSettings) -> Self {
        Self {
            settings,
            pending: Mutex::new(None),
        }
    }

    /// Opens a session in the spare child, or in a new child when there is none. Then starts the next spare child.
    ///
    /// # Errors
    /// As [`Child::spawn`].
    pub async fn start(&self, session: Session) -> Result<Child, Failure> {
        let child = self.start_without_restock(session).await;
        self.restock();
        child
    }

    /// As [`Self::start`], but leaves it to the caller to start the next spare child with [`Self::restock`].
    ///
    /// # Errors
    /// As [`Child::spawn`].
    pub async fn start_without_restock(&self, session: Session) -> Result<Child, Failure> {
        match self.take().await {
            Some(started) => Child::open_session(&self.settings, started, session).await,
            None => Child::spawn(&self.settings, session).await,
        }
    }

    /// Takes the spare child. `None` when there is none, or when it has ended: the OOM killer prefers idle processes.
    pub(super) async fn take(&self) -> Option<StartedChild> {
        let pending = self.lock().take()?;
        let started = starter::wait(pending).await.ok();
        started.filter(|child| !child.group.has_ended())
    }

    /// Starts the next spare child unless there is one. A start costs about 40 ms of CPU, so short work restocks when
    /// it has ended.
    pub fn restock(&self) {
        let mut pending = self.lock();
        if pending.is_none() {
            // An error is reported to the next caller of `start`, who tries again.
            *pending = starter::request(&self.settings).ok();
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<PendingStart>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
