//! The queues under test, and a process that listens to one.

use crate::redis_server::RedisServer;
use background::Background;
use queue::{Queue, Wakeups};
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A queue, with the Redis server behind it.
pub(crate) struct TestQueue {
    pub(crate) name: &'static str,
    pub(crate) queue: Queue,
    pub(crate) redis: Option<RedisServer>,
}

/// The queue in memory, and the one in Redis unless `redis-server` is missing.
pub(crate) fn all_queues() -> Vec<TestQueue> {
    let memory = TestQueue {
        name: "memory",
        queue: Queue::in_memory(),
        redis: None,
    };
    std::iter::once(memory).chain(redis_queue()).collect()
}

pub(crate) fn redis_queue() -> Option<TestQueue> {
    let server = RedisServer::start()?;
    Some(TestQueue {
        name: "redis",
        queue: Queue::redis(&server.url()).unwrap(),
        redis: Some(server),
    })
}

/// A process that receives wake-ups until it is stopped.
pub(crate) struct Process {
    pub(crate) wakeups: Wakeups,
    pub(crate) shutdown: CancellationToken,
}

impl Process {
    pub(crate) fn listening_to(queue: &Queue) -> Self {
        let shutdown = CancellationToken::new();
        Self {
            wakeups: queue.listen(shutdown.clone(), Background::default()),
            shutdown,
        }
    }

    /// Waits for a wake-up for at most `time`; `true` when one came.
    pub(crate) async fn woken_within(&self, time: Duration) -> bool {
        timeout(time, self.wakeups.woken()).await.is_ok()
    }

    pub(crate) async fn woken(&self) {
        assert!(self.woken_within(Duration::from_secs(10)).await, "no wake-up for 10 s");
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        timeout(Duration::from_secs(10), self.wakeups.closed())
            .await
            .expect("the receiver does not end");
    }
}
