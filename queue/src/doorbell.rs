//! One handle for ringing and for answering, in memory or through Redis.

use crate::Job;
use crate::crew::Crew;
use crate::memory::Waiting;
use crate::shared::Shared;
use background::Background;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// At most so many ids wait; what is rung beyond is dropped, and the sweeper rings it again.
pub const WAITING_MAX: usize = 1_000;

/// Wakes workers. Cheap to clone; all clones are the same bell.
#[derive(Clone, Debug)]
pub struct Doorbell(Line);

#[derive(Clone, Debug)]
enum Line {
    Memory(Arc<Waiting>),
    Shared(Arc<Shared>),
}

impl Doorbell {
    /// A bell inside this process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self(Line::Memory(Arc::default()))
    }

    /// A bell that all processes with the same Redis hear. Redis need not answer yet, see
    /// [`Doorbell::ready`].
    ///
    /// # Errors
    /// When the URL is none of Redis.
    pub async fn redis(url: &str) -> anyhow::Result<Self> {
        Ok(Self(Line::Shared(Arc::new(Shared::open(url)?))))
    }

    /// Asks some worker to look at the task; returns within two seconds. An id that waits already is
    /// not queued twice, and above [`WAITING_MAX`] the ring is dropped; both are no error.
    ///
    /// # Errors
    /// When Redis does not take the ring. The sweeper will ring again, so a warning is enough.
    pub async fn ring(&self, job: Job) -> anyhow::Result<()> {
        match &self.0 {
            Line::Memory(waiting) => waiting.push(job),
            Line::Shared(shared) => shared.push(job).await?,
        }
        Ok(())
    }

    /// How many more ids may wait; 0 when Redis does not tell within a second.
    pub async fn room(&self) -> usize {
        match &self.0 {
            Line::Memory(waiting) => waiting.room(),
            Line::Shared(shared) => shared.room().await,
        }
    }

    /// Whether other processes hear this bell. When not, a worker in a process of its own must ask the
    /// database once a second for due tasks.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Line::Shared(_))
    }

    /// Answers rings until shutdown, `concurrency` (at least 1) at a time, and returns when the handlers
    /// in flight have ended. A ring for a task whose handler runs in this call is ignored. A handler that
    /// panics is logged and forgotten. Dropping this future takes no more jobs and leaves the handlers in flight
    /// to end by themselves. The loop is the background task `worker`.
    pub async fn serve<H, F>(
        &self,
        concurrency: usize,
        handler: H,
        shutdown: CancellationToken,
        background: &Background,
    ) where
        H: Fn(Job) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let crew = Crew::new(concurrency, handler);
        let answer = || async {
            match &self.0 {
                Line::Memory(waiting) => waiting.answer(&crew, &shutdown).await,
                Line::Shared(shared) => shared.answer(&crew, &shutdown).await,
            }
        };
        background.keep("worker", answer).await;
        crew.gone_home().await;
    }

    /// Asks for a sign of life; returns within a second.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn ready(&self) -> anyhow::Result<()> {
        match &self.0 {
            Line::Memory(_) => Ok(()),
            Line::Shared(shared) => shared.ready().await,
        }
    }
}
