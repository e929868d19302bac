//! A child that is started before anybody needs it: to load its hundred and sixty libraries takes longer than to probe a
//! film. It waits for its session, and so has opened nothing and is locked in like any other once it gets one.

use super::starter::{self, Ordered, Pipes};
use super::{Child, ChildSettings, group::Group};
use domain::Failure;
use domain::protocol::Session;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keeps one started child ahead of those that are given away. Dropping it kills that one.
#[derive(Debug)]
pub struct Spare {
    settings: ChildSettings,
    ordered: Mutex<Option<Ordered>>,
}

impl Spare {
    /// Starts nothing yet: the first child is started when it is asked for.
    #[must_use]
    pub const fn new(settings: ChildSettings) -> Self {
        Self {
            settings,
            ordered: Mutex::new(None),
        }
    }

    /// Gives the spare child a session, or a new one when there is none, and orders the next.
    ///
    /// # Errors
    /// As [`Child::spawn`].
    pub async fn child(&self, session: Session) -> Result<Child, Failure> {
        let child = self.give(session).await;
        self.restock();
        child
    }

    /// As [`Self::child`], but the next is ordered by [`Self::restock`].
    ///
    /// # Errors
    /// As [`Child::spawn`].
    pub async fn give(&self, session: Session) -> Result<Child, Failure> {
        match self.take().await {
            Some((group, pipes)) => Child::begin(&self.settings, group, pipes, session).await,
            None => Child::spawn(&self.settings, session).await,
        }
    }

    /// The spare child, if there is one and it lives: a kernel that is short of memory kills those that wait first.
    pub(super) async fn take(&self) -> Option<(Group, Pipes)> {
        let ordered = self.lock().take()?;
        let started = starter::arrival(ordered).await.ok();
        started.filter(|(group, _)| !group.has_ended())
    }

    /// Orders the next spare child unless there is one. To start takes a processor as long as to copy half a film: work
    /// that is short lets it wait.
    pub fn restock(&self) {
        let mut ordered = self.lock();
        if ordered.is_none() {
            // What goes wrong here is said to whoever asks for a child.
            *ordered = starter::order(&self.settings).ok();
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Ordered>> {
        self.ordered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
