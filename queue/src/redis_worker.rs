//! The receiving side of the queue in Redis: an apalis worker that is restarted whenever it ends.

use crate::Job;
use crate::idle_signal::IdleSignal;
use crate::redis_queue::{RedisQueue, config, connect};
use crate::restart::restart_until;
use anyhow::Context as _;
use apalis::prelude::{BackendExt, Task, WorkerBuilder, WorkerContext, WorkerError};
use apalis_core::backend::Vacuum;
use apalis_redis::RedisStorage;
use futures::future::BoxFuture;
use futures::stream::{self, Stream};
use redis::AsyncCommands;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tower::Service;
use uuid::Uuid;

/// Interval between two fetches of an idle process.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Timeout of one command.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Interval between two removals of finished jobs.
const VACUUM_INTERVAL: Duration = Duration::from_secs(30);
/// Time for which Redis keeps the metadata of a worker that is no longer refreshed, in seconds.
const WORKER_METADATA_TTL_S: i64 = 3_600;
/// Timeout of the last acknowledgments at shutdown.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(1);

impl RedisQueue {
    /// Delivers each job to `signal` until shutdown. Restarts the apalis worker with backoff when Redis fails.
    pub(crate) async fn receive_wakeups(self: &Arc<Self>, signal: &Arc<IdleSignal>, shutdown: &CancellationToken) {
        restart_until(shutdown, "worker of wake-ups", || self.run_worker(signal, shutdown)).await;
    }

    /// Runs one apalis worker until shutdown or the first Redis error. Each worker has a new name, because apalis
    /// refuses a name that Redis still knows.
    async fn run_worker(
        self: &Arc<Self>,
        signal: &Arc<IdleSignal>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        let connection = connect(&self.client, RESPONSE_TIMEOUT)?;
        let storage = RedisStorage::<Job>::new(connection).with_config(config());
        let context = WorkerContext::new(&Uuid::new_v4().simple().to_string());
        let vacuuming = vacuum_periodically(storage.clone(), context.clone());
        let stop = shutdown.clone();
        let service = WakeupService {
            queue: self.clone(),
            signal: signal.clone(),
        };
        let worker = WorkerBuilder::new(&context)
            .backend(storage.poll_with_stream(poll_ticks()))
            .build(service)
            .run_until(async move {
                stop.cancelled().await;
                Ok::<(), WorkerError>(())
            });
        let shutdown_timeout = async {
            shutdown.cancelled().await;
            sleep(ACKNOWLEDGE_TIMEOUT).await;
        };
        tokio::select! {
            result = worker => result.context("the worker stopped fetching"),
            () = shutdown_timeout => Ok(()),
            () = vacuuming => Ok(()),
        }
    }
}

/// The service that apalis calls with each job.
struct WakeupService {
    queue: Arc<RedisQueue>,
    signal: Arc<IdleSignal>,
}

impl Service<Task<Job>> for WakeupService {
    type Response = ();
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<(), Infallible>>;

    /// apalis fetches only when the service is ready.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.signal.poll_idle(cx).map(Ok)
    }

    fn call(&mut self, _: Task<Job>) -> Self::Future {
        let (queue, is_delivered) = (self.queue.clone(), self.signal.deliver());
        Box::pin(async move {
            // The process became busy during the fetch: put the job back for another one.
            if !is_delivered && let Err(error) = queue.wake().await {
                tracing::debug!(error = format!("{error:#}"), "failed to pass a wake-up on");
            }
            Ok(())
        })
    }
}

/// A stream that wakes its task every [`POLL_INTERVAL`] and never yields an item.
///
/// apalis polls the stream once before each fetch. A stream that yields an item has registered no waker for the next
/// tick. If Redis answers the fetch within the same poll, nothing wakes the worker again, and a job that arrives then
/// waits for the next heartbeat. The interval stream of apalis has this problem.
fn poll_ticks() -> impl Stream<Item = ()> + Unpin + Send {
    let mut ticks = interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::poll_fn(move |cx| {
        // Consumes the ticks that are due, so that the pending tick has registered the waker.
        while ticks.poll_tick(cx).is_ready() {}
        Poll::Pending
    })
}

/// Runs [`vacuum`] every [`VACUUM_INTERVAL`]. apalis itself never removes finished jobs or names of workers.
async fn vacuum_periodically(mut storage: RedisStorage<Job>, worker: WorkerContext) {
    loop {
        sleep(VACUUM_INTERVAL).await;
        if let Err(error) = vacuum(&mut storage, &worker).await {
            tracing::debug!(error = format!("{error:#}"), "failed to remove finished jobs");
        }
    }
}

/// Removes finished and dead jobs, and lets the metadata of this worker expire after its end.
async fn vacuum(storage: &mut RedisStorage<Job>, worker: &WorkerContext) -> anyhow::Result<()> {
    storage.vacuum().await.context("failed to remove finished jobs")?;
    let (config, mut connection) = (config(), storage.get_connection().clone());
    let _: () = connection
        .del(&[config.done_jobs_set(), config.dead_jobs_set()])
        .await?;
    let _: () = connection
        .expire(config.worker_metadata_key(worker), WORKER_METADATA_TTL_S)
        .await?;
    Ok(())
}

#[cfg(test)]
#[path = "../tests/it/redis_server.rs"]
mod redis_server;

#[cfg(test)]
mod tests {
    use super::redis_server::RedisServer;
    use super::*;
    use apalis::prelude::Backend;
    use std::future::poll_fn;
    use tokio::time::timeout;

    /// A backend whose fetches find no job and complete within their poll; the last one ends the stream.
    struct ImmediateBackend {
        fetches: u32,
    }

    impl Backend for ImmediateBackend {
        type Task = ();
        type Error = Infallible;

        fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn poll_next(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Option<Result<(), Infallible>>> {
            self.fetches -= 1;
            if self.fetches == 0 {
                Poll::Ready(None)
            } else {
                Poll::Pending
            }
        }

        fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_fetch_that_completes_within_its_poll_is_followed_by_another() {
        let worker = WorkerContext::new("test");
        let mut backend = ImmediateBackend { fetches: 4 }.poll_with_stream(poll_ticks());
        let fetches = poll_fn(|cx| backend.poll_next(cx, &worker));
        let end = timeout(Duration::from_secs(10), fetches).await;
        assert!(end.expect("nothing wakes the worker").is_none());
    }

    #[tokio::test]
    async fn finished_jobs_are_removed_and_waiting_ones_kept() {
        let Some(server) = RedisServer::start() else {
            return;
        };
        let queue = Arc::new(RedisQueue::open(&server.url()).unwrap());
        let (stop, signal) = (CancellationToken::new(), Arc::new(IdleSignal::default()));
        let receive_20 = async {
            for _ in 0..20 {
                queue.wake().await.unwrap();
                signal.woken().await;
            }
            stop.cancel();
        };
        tokio::join!(queue.receive_wakeups(&signal, &stop), receive_20);
        queue.wake().await.unwrap();
        assert_eq!(server.command::<usize>(&["HLEN", "rushes-wakeups:data"]).await, 21);
        assert_eq!(server.command::<usize>(&["SCARD", "rushes-wakeups:done"]).await, 20);

        let mut storage = RedisStorage::new(connect(&queue.client, RESPONSE_TIMEOUT).unwrap()).with_config(config());
        vacuum(&mut storage, &WorkerContext::new("test")).await.unwrap();

        assert_eq!(server.command::<usize>(&["HLEN", "rushes-wakeups:data"]).await, 1);
        assert_eq!(server.command::<usize>(&["EXISTS", "rushes-wakeups:done"]).await, 0);
        assert_eq!(
            server
                .command::<Vec<String>>(&["KEYS", "rushes-wakeups:meta:*"])
                .await
                .len(),
            1
        );
        assert_eq!(queue.waiting_jobs().await.unwrap(), 1);
    }
}
