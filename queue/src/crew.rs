//! Handlers at work: each in a tokio task of its own, so that neither a panic nor the loss of whoever
//! waits for it does any harm; at most one per id, at most so many at once.

use crate::Job;
use domain::TaskId;
use futures::FutureExt;
use std::any::Any;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

pub(crate) type Slot = OwnedSemaphorePermit;

#[derive(Clone)]
pub(crate) struct Crew<H> {
    handler: H,
    slots: Arc<Semaphore>,
    running: Running,
    tracker: TaskTracker,
}

#[derive(Clone, Default)]
struct Running(Arc<Mutex<HashSet<TaskId>>>);

/// Holds an id in the set of the running; gives it back even when the handler panics.
struct Place {
    running: Running,
    task: TaskId,
}

impl<H> Crew<H> {
    pub(crate) fn new(concurrency: usize, handler: H) -> Self {
        Self {
            handler,
            slots: Arc::new(Semaphore::new(concurrency.max(1))),
            running: Running::default(),
            tracker: TaskTracker::new(),
        }
    }

    /// The free places; a job may only be fetched by whoever holds one.
    pub(crate) fn slots(&self) -> Arc<Semaphore> {
        self.slots.clone()
    }

    /// Waits until no handler runs any more.
    pub(crate) async fn gone_home(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl<H, F> Crew<H>
where
    H: Fn(Job) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    /// Starts a handler, `None` when one runs for this id. It goes on when the handle is dropped.
    pub(crate) fn start(&self, job: Job, slot: Slot) -> Option<JoinHandle<()>> {
        let place = self.running.enter(job.task)?;
        let handler = self.handler.clone();
        Some(self.tracker.spawn(async move {
            let work = AssertUnwindSafe(async move { handler(job).await });
            if let Err(panic) = work.catch_unwind().await {
                tracing::error!(task = %job.task, panic = message(panic.as_ref()), "a handler panicked");
            }
            drop(place);
            drop(slot);
        }))
    }
}

impl Running {
    fn enter(&self, task: TaskId) -> Option<Place> {
        let entered = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(task);
        entered.then(|| Place {
            running: self.clone(),
            task,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.task);
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
