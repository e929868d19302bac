//! What apalis calls with each id it fetches: takes a free slot first, starts the handler, and only
//! waits for it, so that the loss of the apalis worker leaves the handler alone.

use crate::Job;
use crate::crew::{Crew, Slot};
use apalis::prelude::Task;
use apalis_redis::{Config, ConnectionManager};
use futures::future::{BoxFuture, join};
use redis::AsyncCommands;
use std::convert::Infallible;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;
use tokio_util::sync::PollSemaphore;
use tower::Service;

pub(crate) struct Answering<H> {
    crew: Crew<H>,
    slots: PollSemaphore,
    slot: Option<Slot>,
    connection: ConnectionManager,
    config: Config,
}

impl<H> Answering<H> {
    pub(crate) fn new(crew: Crew<H>, connection: ConnectionManager, config: Config) -> Self {
        Self {
            slots: PollSemaphore::new(crew.slots()),
            crew,
            slot: None,
            connection,
            config,
        }
    }
}

impl<H, F> Service<Task<Job>> for Answering<H>
where
    H: Fn(Job) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    type Response = ();
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<(), Infallible>>;

    /// apalis fetches only when this is ready, so no id is held back by a busy worker.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.slot.is_none() {
            self.slot = ready!(self.slots.poll_acquire(cx));
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<Job>) -> Self::Future {
        let job = task.args;
        let slot = self
            .slot
            .take()
            .expect("poll_ready took a slot and the slots are never closed");
        let handler = self.crew.start(job, slot);
        let forgotten = forget(
            self.connection.clone(),
            format!("{}:{}", self.config.idempotency_key_set(), job.task),
        );
        Box::pin(async move {
            join(forgotten, end_of(handler)).await;
            Ok(())
        })
    }
}

/// From now on the id may be rung again. When this fails the mark expires by itself.
async fn forget(mut connection: ConnectionManager, mark: String) {
    if let Err(error) = connection.del::<_, ()>(mark).await {
        tracing::debug!(%error, "an id stays marked as waiting");
    }
}

async fn end_of(handler: Option<JoinHandle<()>>) {
    if let Some(handler) = handler {
        // A panic is caught and logged by the crew.
        let _ = handler.await;
    }
}
