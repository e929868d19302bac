//! [`Queue`] sends wake-ups, [`Wakeups`] receives them.

use crate::idle_signal::IdleSignal;
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

    /// A queue that all processes with the same Redis share. Connects on first use; see [`Queue::ready`].
    ///
    /// # Errors
    /// When `url` is not a Redis URL.
    pub fn redis(url: &str) -> anyhow::Result<Self> {
        Ok(Self(Transport::Redis(Arc::new(RedisQueue::open(url)?))))
    }

    /// Wakes one idle worker, now or as soon as there is one. Does nothing while a wake-up is waiting. Returns within
    /// two seconds.
    ///
    /// # Errors
    /// When Redis does not accept it. Workers also poll the database, so callers log a warning and go on.
    pub async fn wake(&self) -> anyhow::Result<()> {
        match &self.0 {
            // `Notify` stores at most one permit; one waiting wake-up is enough.
            Transport::Memory(notify) => {
                notify.notify_one();
                Ok(())
            }
            Transport::Redis(queue) => queue.wake().await,
        }
    }

    /// Starts to receive wake-ups for this process until `shutdown`. With Redis this is the background task `wakeups`.
    #[must_use]
    pub fn listen(&self, shutdown: CancellationToken, background: Background) -> Wakeups {
        match &self.0 {
            Transport::Memory(notify) => Wakeups(Receiver::Memory(notify.clone())),
            Transport::Redis(queue) => {
                let signal = Arc::new(IdleSignal::default());
                let (queue, idle) = (queue.clone(), signal.clone());
                let worker = tokio::spawn(async move {
                    let receive = || queue.receive_wakeups(&idle, &shutdown);
                    background.supervise("wakeups", receive).await;
                });
                Wakeups(Receiver::Redis(signal, worker))
            }
        }
    }

    /// Checks that the queue works. Returns within one second.
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
pub struct Wakeups(Receiver);

#[derive(Debug)]
enum Receiver {
    Memory(Arc<Notify>),
    Redis(Arc<IdleSignal>, JoinHandle<()>),
}

impl Wakeups {
    /// Waits for a wake-up. Jobs are taken from Redis only while this future runs.
    pub async fn woken(&self) {
        match &self.0 {
            Receiver::Memory(notify) => notify.notified().await,
            Receiver::Redis(signal, _) => signal.woken().await,
        }
    }

    /// Waits until the last wake-ups are acknowledged. Returns only after the shutdown began.
    pub async fn closed(self) {
        if let Receiver::Redis(_, worker) = self.0
            && let Err(error) = worker.await
        {
            tracing::error!(%error, "the Redis worker panicked");
        }
    }
}
