//! The queues to try things on, and a wait that ends.

use crate::redis_server::RedisServer;
use background::Background;
use queue::{Queue, Wakeups};
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// One kind of queue, alive as long as this is.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) queue: Queue,
    pub(crate) redis: Option<RedisServer>,
}

/// Memory always, Redis where it is installed.
pub(crate) fn columns() -> Vec<Column> {
    let memory = Column {
        name: "memory",
        queue: Queue::in_memory(),
        redis: None,
    };
    std::iter::once(memory).chain(redis_column()).collect()
}

pub(crate) fn redis_column() -> Option<Column> {
    let server = RedisServer::start()?;
    Some(Column {
        name: "redis",
        queue: Queue::redis(&server.url()).unwrap(),
        redis: Some(server),
    })
}

/// A process that listens until it is stopped.
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

    /// Waits for a wake-up, at most this long.
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
            .expect("listening does not end");
    }
}
