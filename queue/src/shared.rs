//! The bell in Redis: the ringing side.

use crate::{Job, WAITING_MAX};
use anyhow::Context;
use apalis::prelude::{TaskBuilder, TaskSink};
use apalis_redis::{Config, ConnectionManager, RedisStorage};
use redis::Client;
use redis::aio::ConnectionManagerConfig;
use std::fmt;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

const QUEUE: &str = "rushes";
const RING_WITHIN: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// An id is not queued twice within this time unless a worker has taken it meanwhile; bounds the harm
/// when a worker takes an id and dies before it starts.
const DISTINCT_FOR: Duration = Duration::from_secs(30);

pub(crate) struct Shared {
    pub(crate) client: Client,
    bell: RedisStorage<Job>,
    connection: ConnectionManager,
    /// Counting and pushing are two steps; taken one ring at a time they cannot overrun the bound.
    ringing: Mutex<()>,
}

impl Shared {
    pub(crate) fn open(url: &str) -> anyhow::Result<Self> {
        let client = Client::open(url).context("failed to read the Redis URL")?;
        let connection = connect(&client, ANSWER_WITHIN)?;
        let bell = RedisStorage::new(connection.clone()).with_config(config());
        Ok(Self {
            client,
            bell,
            connection,
            ringing: Mutex::default(),
        })
    }

    pub(crate) async fn push(&self, job: Job) -> anyhow::Result<()> {
        let push = async {
            let _alone = self.ringing.lock().await;
            if self.waiting().await? >= WAITING_MAX {
                return Ok(());
            }
            let ring = TaskBuilder::new(job).idempotency_key(job.task.to_string()).build();
            self.bell.clone().push_task(ring).await.context("failed to push the id")
        };
        timeout(RING_WITHIN, push)
            .await
            .context("Redis took too long over a ring")?
    }

    pub(crate) async fn room(&self) -> usize {
        match timeout(ANSWER_WITHIN, self.waiting()).await {
            Ok(Ok(waiting)) => WAITING_MAX.saturating_sub(waiting),
            Ok(Err(_)) | Err(_) => 0,
        }
    }

    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        let mut connection = self.connection.clone();
        let ping = redis::cmd("PING");
        let asked = ping.query_async::<()>(&mut connection);
        timeout(ANSWER_WITHIN, asked)
            .await
            .context("Redis took too long over a ping")?
            .context("failed to ping Redis")
    }

    async fn waiting(&self) -> anyhow::Result<usize> {
        let config = self.bell.get_config();
        let mut connection = self.connection.clone();
        // A fresh id waits in the schedule until the next fetch moves it to the list.
        let (listed, scheduled): (usize, usize) = redis::pipe()
            .llen(config.active_jobs_list())
            .zcard(config.scheduled_jobs_set())
            .query_async(&mut connection)
            .await
            .context("failed to count the waiting ids")?;
        Ok(listed + scheduled)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// The same for both sides. One id per fetch, since a fetched one is held until there is a free slot.
pub(crate) fn config() -> Config {
    Config::default()
        .queue(QUEUE)
        .batch_size(1)
        .heartbeat_interval(Duration::from_secs(5))
        .missed_heartbeats(3)
        .lock_tasks(false)
        .emit_events(false)
        .idempotency_ttl(Some(DISTINCT_FOR))
}

/// Connects at the first use, and again after a failure; does not insist, whoever uses it does.
pub(crate) fn connect(client: &Client, answer_within: Duration) -> anyhow::Result<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(1)))
        .set_response_timeout(Some(answer_within))
        .set_number_of_retries(1);
    client
        .get_connection_manager_lazy(config)
        .context("failed to set up the Redis connection")
}
