//! The queue in Redis: the side that is woken, an apalis worker that is started again whenever it ends.

use crate::Job;
use crate::gate::Gate;
use crate::redis_queue::{RedisQueue, config, connect};
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
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tower::Service;
use uuid::Uuid;

const POLL_EVERY: Duration = Duration::from_millis(100);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const TRIM_EVERY: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A worker that held out so long was healthy; its successor starts after the first pause again.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);
/// How long the last acknowledgements may take.
const FAREWELL: Duration = Duration::from_secs(1);

impl RedisQueue {
    /// Opens the gate with each job until shutdown, whatever happens to Redis meanwhile.
    pub(crate) async fn take_wakeups(self: &Arc<Self>, gate: &Arc<Gate>, shutdown: &CancellationToken) {
        let mut pause = FIRST_PAUSE;
        while !shutdown.is_cancelled() {
            let started = Instant::now();
            let ended = self.work(gate, shutdown).await;
            if shutdown.is_cancelled() {
                return;
            }
            let error = ended.err().map(|error| format!("{error:#}"));
            tracing::warn!(error, "the Redis worker ended; another one starts");
            pause = if started.elapsed() > HEALTHY_AFTER {
                FIRST_PAUSE
            } else {
                LONGEST_PAUSE.min(pause * 2)
            };
            shutdown.run_until_cancelled(sleep(pause)).await;
        }
    }

    /// Runs one apalis worker until shutdown or the first error of Redis. Its name is new each time,
    /// since a name that Redis still knows is refused.
    async fn work(self: &Arc<Self>, gate: &Arc<Gate>, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let connection = connect(&self.client, ANSWER_WITHIN)?;
        let storage = RedisStorage::<Job>::new(connection).with_config(config());
        let context = WorkerContext::new(&Uuid::new_v4().simple().to_string());
        let trimming = trim_for_ever(storage.clone(), context.clone());
        let stop = shutdown.clone();
        let opener = Opener {
            queue: self.clone(),
            gate: gate.clone(),
        };
        let worker = WorkerBuilder::new(&context)
            .backend(storage.poll_with_stream(wake_for_ever()))
            .build(opener)
            .run_until(async move {
                stop.cancelled().await;
                Ok::<(), WorkerError>(())
            });
        let abandoned = async {
            shutdown.cancelled().await;
            sleep(FAREWELL).await;
        };
        tokio::select! {
            ended = worker => ended.context("failed to go on fetching"),
            () = abandoned => Ok(()),
            () = trimming => Ok(()),
        }
    }
}

/// Called by apalis with each job.
struct Opener {
    queue: Arc<RedisQueue>,
    gate: Arc<Gate>,
}

impl Service<Task<Job>> for Opener {
    type Response = ();
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<(), Infallible>>;

    /// apalis fetches only when this is ready.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.gate.poll_idle(cx).map(Ok)
    }

    fn call(&mut self, _: Task<Job>) -> Self::Future {
        let (queue, delivered) = (self.queue.clone(), self.gate.deliver());
        Box::pin(async move {
            if !delivered && let Err(error) = queue.wake().await {
                tracing::debug!(error = format!("{error:#}"), "a wake-up was not passed on");
            }
            Ok(())
        })
    }
}

/// A stream that wakes its task every [`POLL_EVERY`] and never yields. apalis polls it once before each fetch; if it yielded,
/// nothing would be left to wake the worker when that fetch is answered within the same poll. So it is with the interval
/// of apalis: a job that comes then waits for the next heartbeat.
fn wake_for_ever() -> impl Stream<Item = ()> + Unpin + Send {
    let mut rhythm = interval(POLL_EVERY);
    rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::poll_fn(move |cx| {
        while rhythm.poll_tick(cx).is_ready() {}
        Poll::Pending
    })
}

/// apalis keeps every finished job and every worker's name for ever.
async fn trim_for_ever(mut storage: RedisStorage<Job>, worker: WorkerContext) {
    loop {
        sleep(TRIM_EVERY).await;
        if let Err(error) = trim(&mut storage, &worker).await {
            tracing::debug!(error = format!("{error:#}"), "finished jobs stay for another while");
        }
    }
}

async fn trim(storage: &mut RedisStorage<Job>, worker: &WorkerContext) -> anyhow::Result<()> {
    storage.vacuum().await.context("failed to remove finished jobs")?;
    let (config, mut connection) = (config(), storage.get_connection().clone());
    let _: () = connection
        .del(&[config.done_jobs_set(), config.dead_jobs_set()])
        .await?;
    let _: () = connection.expire(config.worker_metadata_key(worker), 3_600).await?;
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

    /// Answers every fetch at once, with nothing, but the last one.
    struct Prompt {
        fetches: u32,
    }

    impl Backend for Prompt {
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
    async fn a_fetch_that_is_answered_within_its_poll_is_followed_by_another() {
        let worker = WorkerContext::new("anybody");
        let mut backend = Prompt { fetches: 4 }.poll_with_stream(wake_for_ever());
        let fetching = poll_fn(|cx| backend.poll_next(cx, &worker));
        let end = timeout(Duration::from_secs(10), fetching).await;
        assert!(end.expect("nobody wakes the worker any more").is_none());
    }

    #[tokio::test]
    async fn finished_jobs_are_trimmed_and_waiting_ones_kept() {
        let Some(server) = RedisServer::start() else {
            return;
        };
        let queue = Arc::new(RedisQueue::open(&server.url()).unwrap());
        let (stop, gate) = (CancellationToken::new(), Arc::new(Gate::default()));
        let serving = async {
            for _ in 0..20 {
                queue.wake().await.unwrap();
                gate.woken().await;
            }
            stop.cancel();
        };
        tokio::join!(queue.take_wakeups(&gate, &stop), serving);
        queue.wake().await.unwrap();
        assert_eq!(server.ask::<usize>(&["HLEN", "rushes-wakeups:data"]).await, 21);
        assert_eq!(server.ask::<usize>(&["SCARD", "rushes-wakeups:done"]).await, 20);

        let mut storage = RedisStorage::new(connect(&queue.client, ANSWER_WITHIN).unwrap()).with_config(config());
        trim(&mut storage, &WorkerContext::new("anybody")).await.unwrap();

        assert_eq!(server.ask::<usize>(&["HLEN", "rushes-wakeups:data"]).await, 1);
        assert_eq!(server.ask::<usize>(&["EXISTS", "rushes-wakeups:done"]).await, 0);
        assert_eq!(
            server
                .ask::<Vec<String>>(&["KEYS", "rushes-wakeups:meta:*"])
                .await
                .len(),
            1
        );
        assert_eq!(queue.waiting().await.unwrap(), 1);
    }
}
