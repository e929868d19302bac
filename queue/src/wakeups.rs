//! One handle to wake workers, and one to be woken.

use crate::gate::Gate;
use crate::redis_queue::RedisQueue;
use background::Background;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Wakes workers. Cheap to clone; all clones are the same queue.
#[derive(Clone, Debug)]
pub struct Queue(Transport);

#[derive(Clone, Debug)]
enum Transport {
    Memory(Arc<Notify>),
    Redis(Arc<RedisQueue>),
}

impl Queue {
    /// A queue inside this process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self(Transport::Memory(Arc::default()))
    }

    /// A queue that all processes with the same Redis share. Redis need not answer yet, see [`Queue::ready`].
    ///
    /// # Errors
    /// When the URL is none of Redis.
    pub fn redis(url: &str) -> anyhow::Result<Self> {
        Ok(Self(Transport::Redis(Arc::new(RedisQueue::open(url)?))))
    }

    /// Tells one idle worker that there is work; returns within two seconds. While a wake-up waits, another one adds nothing.
    ///
    /// # Errors
    /// When Redis does not take it. Workers look by themselves soon, so a warning is enough.
    pub async fn wake(&self) -> anyhow::Result<()> {
        match &self.0 {
            // `Notify` stores at most one permit, which is all that is needed.
            Transport::Memory(notify) => {
                notify.notify_one();
                Ok(())
            }
            Transport::Redis(queue) => queue.wake().await,
        }
    }

    /// Begins to take wake-ups for this process, until `shutdown`; from Redis in the background task `wakeups`.
    #[must_use]
    pub fn listen(&self, shutdown: CancellationToken, background: Background) -> Wakeups {
        match &self.0 {
            Transport::Memory(notify) => Wakeups(Source::Memory(notify.clone())),
            Transport::Redis(queue) => {
                let gate = Arc::new(Gate::default());
                let (queue, idle) = (queue.clone(), gate.clone());
                let worker = tokio::spawn(async move {
                    let take = || queue.take_wakeups(&idle, &shutdown);
                    background.keep("wakeups", take).await;
                });
                Wakeups(Source::Redis(gate, worker))
            }
        }
    }

    /// Asks for a sign of life; returns within a second.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn ready(&self) -> anyhow::Result<()> {
        match &self.0 {
            Transport::Memory(_) => Ok(()),
            Transport::Redis(queue) => queue.ready().await,
        }
    }
}

/// The wake-ups of one process.
#[derive(Debug)]
pub struct Wakeups(Source);

#[derive(Debug)]
enum Source {
    Memory(Arc<Notify>),
    Redis(Arc<Gate>, JoinHandle<()>),
}

impl Wakeups {
    /// Waits for a wake-up. Those of Redis are taken only while this runs.
    pub async fn woken(&self) {
        match &self.0 {
            Source::Memory(notify) => notify.notified().await,
            Source::Redis(gate, _) => gate.woken().await,
        }
    }

    /// Waits until the last wake-ups are acknowledged, once the shutdown has begun.
    pub async fn closed(self) {
        if let Source::Redis(_, worker) = self.0
            && let Err(error) = worker.await
        {
            tracing::error!(%error, "the Redis worker broke down");
        }
    }
}
