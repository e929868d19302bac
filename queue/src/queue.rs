//! [`Queue`]: sends wake-ups to workers, and updates of tasks to everything that waits for them.

use crate::idle_signal::IdleSignal;
use crate::redis_queue::RedisQueue;
use crate::updates::{Subscription, Subscriptions, TaskUpdate, Updates};
use crate::wakeups::{Receiver, Wakeups};
use background::Background;
use domain::{TaskId, UserId};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Connects API and workers. Cheap to clone; all clones are the same queue.
#[derive(Clone, Debug)]
pub struct Queue {
    transport: Transport,
    subscriptions: Subscriptions,
}

#[derive(Clone, Debug)]
enum Transport {
    Memory(Arc<Notify>),
    Redis(Arc<RedisQueue>),
}

impl Queue {
    /// A queue inside this process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::over(Transport::Memory(Arc::default()))
    }

    /// A queue that all processes with the same Redis share. Connects on first use; see [`Queue::ready`].
    ///
    /// # Errors
    /// When `url` is not a Redis URL.
    pub fn redis(url: &str) -> anyhow::Result<Self> {
        Ok(Self::over(Transport::Redis(Arc::new(RedisQueue::open(url)?))))
    }

    fn over(transport: Transport) -> Self {
        Self {
            transport,
            subscriptions: Subscriptions::default(),
        }
    }

    /// Wakes one idle worker, now or as soon as there is one. Does nothing while a wake-up is waiting. Returns within
    /// two seconds.
    ///
    /// # Errors
    /// When Redis does not accept it. Workers also poll the database, so callers log a warning and go on.
    pub async fn wake(&self) -> anyhow::Result<()> {
        match &self.transport {
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
        match &self.transport {
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

    /// Publishes that a task has changed, after the change was committed. Never waits and never fails: an update that
    /// cannot be sent is dropped, and subscribers see the change when they read the row again.
    ///
    /// # Panics
    /// With Redis, outside of a Tokio runtime.
    pub fn publish_update(&self, account: UserId, task: TaskId) {
        let update = TaskUpdate { task, account };
        match &self.transport {
            Transport::Memory(_) => self.subscriptions.deliver(update),
            Transport::Redis(queue) => queue.publish_update(update),
        }
    }

    /// Subscribes to the updates of a task until the subscription is dropped. With Redis they arrive only in a process
    /// that called [`Queue::receive_updates`].
    #[must_use]
    pub fn subscribe(&self, account: UserId, task: TaskId) -> Subscription {
        self.subscriptions.subscribe(TaskUpdate { task, account })
    }

    /// Subscribes to the updates of all tasks, as [`Queue::subscribe`] does to those of one.
    #[must_use]
    pub fn subscribe_all(&self) -> Updates {
        self.subscriptions.subscribe_all()
    }

    /// Starts to receive the updates of other processes until `shutdown`. With Redis this is the background task
    /// `updates`, on one connection for all subscriptions.
    pub fn receive_updates(&self, shutdown: CancellationToken, background: Background) {
        if let Transport::Redis(queue) = &self.transport {
            let (queue, subscriptions) = (queue.clone(), self.subscriptions.clone());
            tokio::spawn(async move {
                let receive = || queue.receive_updates(&subscriptions, &shutdown);
                background.supervise("updates", receive).await;
            });
        }
    }

    /// Checks that the queue works. Returns within one second.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn ready(&self) -> anyhow::Result<()> {
        match &self.transport {
            Transport::Memory(_) => Ok(()),
            Transport::Redis(queue) => queue.ready().await,
        }
    }
}
