//! The queue in Redis: the side that wakes.

use crate::Job;
use anyhow::Context;
use apalis::prelude::TaskSink;
use apalis_redis::{Config, ConnectionManager, RedisStorage};
use redis::Client;
use redis::aio::ConnectionManagerConfig;
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;

/// Not the name that earlier versions used, whose jobs had another form.
const QUEUE: &str = "rushes-wakeups";
const WAKE_WITHIN: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

pub(crate) struct RedisQueue {
    pub(crate) client: Client,
    storage: RedisStorage<Job>,
    connection: ConnectionManager,
}

impl RedisQueue {
    pub(crate) fn open(url: &str) -> anyhow::Result<Self> {
        let client = Client::open(url).context("failed to read the Redis URL")?;
        let connection = connect(&client, ANSWER_WITHIN)?;
        let storage = RedisStorage::new(connection.clone()).with_config(config());
        Ok(Self {
            client,
            storage,
            connection,
        })
    }

    /// Pushes a job unless one waits already. Two calls at once may push one each; that costs a look into the database.
    pub(crate) async fn wake(&self) -> anyhow::Result<()> {
        let push = async {
            if self.waiting().await? > 0 {
                return Ok(());
            }
            self.storage.clone().push(Job {}).await.context("failed to push a job")
        };
        timeout(WAKE_WITHIN, push)
            .await
            .context("Redis took too long over a wake-up")?
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

    /// The jobs that wait.
    pub(crate) async fn waiting(&self) -> anyhow::Result<usize> {
        let config = self.storage.get_config();
        let mut connection = self.connection.clone();
        // A fresh job waits in the schedule until the next fetch moves it to the list.
        let (listed, scheduled): (usize, usize) = redis::pipe()
            .llen(config.active_jobs_list())
            .zcard(config.scheduled_jobs_set())
            .query_async(&mut connection)
            .await
            .context("failed to count the waiting jobs")?;
        Ok(listed + scheduled)
    }
}

impl fmt::Debug for RedisQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisQueue").finish_non_exhaustive()
    }
}

/// The same for both sides. One job per fetch: the next one is for another process.
pub(crate) fn config() -> Config {
    Config::default()
        .queue(QUEUE)
        .batch_size(1)
        .heartbeat_interval(Duration::from_secs(5))
        .missed_heartbeats(3)
        .lock_tasks(false)
        .emit_events(false)
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
