//! The bell in Redis: the answering side, an apalis worker that is started again whenever it ends.

use crate::Job;
use crate::answering::Answering;
use crate::crew::Crew;
use crate::shared::{Shared, config, connect};
use anyhow::Context;
use apalis::prelude::{BackendExt, WorkerBuilder, WorkerContext, WorkerError};
use apalis_core::backend::Vacuum;
use apalis_redis::RedisStorage;
use futures::stream::{self, Stream};
use redis::AsyncCommands;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const POLL_EVERY: Duration = Duration::from_millis(100);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const TRIM_EVERY: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A worker that held out so long was healthy; its successor starts after the first pause again.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);
/// What the last acknowledgements may take once all handlers have ended.
const FAREWELL: Duration = Duration::from_secs(1);

impl Shared {
    /// Answers rings until shutdown, whatever happens to Redis meanwhile.
    pub(crate) async fn answer<H, F>(&self, crew: &Crew<H>, shutdown: &CancellationToken)
    where
        H: Fn(Job) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut pause = FIRST_PAUSE;
        while !shutdown.is_cancelled() {
            let started = Instant::now();
            let ended = self.work(crew, shutdown).await;
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
    async fn work<H, F>(&self, crew: &Crew<H>, shutdown: &CancellationToken) -> anyhow::Result<()>
    where
        H: Fn(Job) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let connection = connect(&self.client, ANSWER_WITHIN)?;
        let storage = RedisStorage::<Job>::new(connection.clone()).with_config(config());
        let context = WorkerContext::new(&Uuid::new_v4().simple().to_string());
        let trimming = trim_for_ever(storage.clone(), context.clone());
        let stop = shutdown.clone();
        let worker = WorkerBuilder::new(&context)
            .backend(storage.poll_with_stream(wake_for_ever()))
            .build(Answering::new(crew.clone(), connection, config()))
            .run_until(async move {
                stop.cancelled().await;
                Ok::<(), WorkerError>(())
            });
        let abandoned = async {
            shutdown.cancelled().await;
            crew.gone_home().await;
            sleep(FAREWELL).await;
        };
        tokio::select! {
            ended = worker => ended.context("failed to go on fetching"),
            () = abandoned => Ok(()),
            () = trimming => Ok(()),
        }
    }
}

/// Wakes whoever polls it, every [`POLL_EVERY`], and never yields. apalis polls it once before each fetch; after an item
/// nothing would be left to wake the worker when that fetch is answered within the same poll. So it is with the interval
/// of apalis: whatever is rung then waits for the next heartbeat.
fn wake_for_ever() -> impl Stream<Item = ()> + Unpin + Send {
    let mut rhythm = interval(POLL_EVERY);
    rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::poll_fn(move |cx| {
        while rhythm.poll_tick(cx).is_ready() {}
        Poll::Pending
    })
}

/// apalis keeps every finished id and every worker's name for ever.
async fn trim_for_ever(mut storage: RedisStorage<Job>, worker: WorkerContext) {
    loop {
        sleep(TRIM_EVERY).await;
        if let Err(error) = trim(&mut storage, &worker).await {
            tracing::debug!(error = format!("{error:#}"), "finished ids stay for another while");
        }
    }
}

async fn trim(storage: &mut RedisStorage<Job>, worker: &WorkerContext) -> anyhow::Result<()> {
    storage.vacuum().await.context("failed to remove finished ids")?;
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
    use domain::TaskId;
    use std::convert::Infallible;
    use std::future::poll_fn;
    use std::task::Context;
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
    async fn finished_ids_are_trimmed_and_waiting_ones_kept() {
        let Some(server) = RedisServer::start() else {
            return;
        };
        let shared = Shared::open(&server.url()).unwrap();
        let (stop, (note, mut heard)) = (CancellationToken::new(), tokio::sync::mpsc::unbounded_channel());
        let crew = Crew::new(1, move |job| {
            note.send(job).unwrap();
            async {}
        });
        for task in (0..20).map(TaskId) {
            shared.push(Job { task }).await.unwrap();
        }
        let serving = async {
            for _ in 0..20 {
                heard.recv().await.unwrap();
            }
            stop.cancel();
        };
        tokio::join!(shared.answer(&crew, &stop), serving);
        shared.push(Job { task: TaskId(100) }).await.unwrap();
        assert_eq!(server.ask::<usize>(&["HLEN", "rushes:data"]).await, 21);
        assert_eq!(server.ask::<usize>(&["SCARD", "rushes:done"]).await, 20);

        let mut storage = RedisStorage::new(connect(&shared.client, ANSWER_WITHIN).unwrap()).with_config(config());
        trim(&mut storage, &WorkerContext::new("anybody")).await.unwrap();

        assert_eq!(server.ask::<usize>(&["HLEN", "rushes:data"]).await, 1);
        assert_eq!(server.ask::<usize>(&["EXISTS", "rushes:done"]).await, 0);
        assert_eq!(server.ask::<Vec<String>>(&["KEYS", "rushes:meta:*"]).await.len(), 1);
        assert_eq!(
            server.ask::<Vec<String>>(&["KEYS", "rushes:idempotency:*"]).await,
            ["rushes:idempotency:100"]
        );
        assert_eq!(shared.room().await, crate::WAITING_MAX - 1);
    }
}
