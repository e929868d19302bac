//! A serving end that tells which ids it was given, and the bells to try it on.

use crate::redis_server::RedisServer;
use background::Background;
use domain::TaskId;
use queue::{Doorbell, Job};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// One kind of bell, alive as long as this is.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) bell: Doorbell,
    pub(crate) redis: Option<RedisServer>,
}

/// Memory always, Redis where it is installed.
pub(crate) async fn columns() -> Vec<Column> {
    let mut columns = vec![Column {
        name: "memory",
        bell: Doorbell::in_memory(),
        redis: None,
    }];
    columns.extend(redis_column().await);
    columns
}

pub(crate) async fn redis_column() -> Option<Column> {
    let server = RedisServer::start()?;
    let bell = Doorbell::redis(&server.url()).await.unwrap();
    Some(Column {
        name: "redis",
        bell,
        redis: Some(server),
    })
}

pub(crate) struct Listener {
    pub(crate) heard: mpsc::UnboundedReceiver<TaskId>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
}

impl Listener {
    /// Serves with a handler that runs after the id was noted.
    pub(crate) fn start<H, F>(bell: &Doorbell, concurrency: usize, handler: H) -> Self
    where
        H: Fn(Job) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (note, heard) = mpsc::unbounded_channel();
        let shutdown = CancellationToken::new();
        let (bell, stop) = (bell.clone(), shutdown.clone());
        let handler = move |job: Job| {
            note.send(job.task).unwrap();
            handler(job)
        };
        let serving = tokio::spawn(async move { bell.serve(concurrency, handler, stop, &Background::default()).await });
        Self {
            heard,
            shutdown,
            serving,
        }
    }

    /// Serves with a handler that waits for a permit of the gate.
    pub(crate) fn behind(gate: &Arc<Semaphore>, bell: &Doorbell, concurrency: usize) -> Self {
        let gate = gate.clone();
        Self::start(bell, concurrency, move |_| {
            let gate = gate.clone();
            async move { gate.acquire().await.unwrap().forget() }
        })
    }

    pub(crate) fn quick(bell: &Doorbell) -> Self {
        Self::start(bell, 4, |_| async {})
    }

    pub(crate) async fn next(&mut self) -> TaskId {
        self.within(Duration::from_secs(10))
            .await
            .expect("nothing was heard for 10 s")
    }

    pub(crate) async fn within(&mut self, time: Duration) -> Option<TaskId> {
        tokio::time::timeout(time, self.heard.recv()).await.ok().flatten()
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.serving)
            .await
            .expect("serve does not end")
            .unwrap();
    }
}

pub(crate) fn job(id: i64) -> Job {
    Job { task: TaskId(id) }
}
