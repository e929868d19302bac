//! The sending side of the queue in Redis.

use crate::Job;
use anyhow::Context;
use apalis::prelude::TaskSink;
use apalis_redis::{Config, ConnectionManager, RedisStorage};
use redis::Client;
use redis::aio::ConnectionManagerConfig;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Prefix of the keys in Redis. Earlier versions used another one for jobs of another format.
const QUEUE_NAME: &str = "rushes-wakeups";
/// Timeout of a wake-up.
const WAKE_TIMEOUT: Duration = Duration::from_secs(2);
/// Timeout of one command.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum number of updates of tasks on their way to Redis.
const UNSENT_UPDATES_MAX: usize = 1_024;

pub(crate) struct RedisQueue {
    pub(crate) client: Client,
    pub(crate) connection: ConnectionManager,
    /// Permits for updates of tasks on their way to Redis.
    pub(crate) unsent_updates: Arc<Semaphore>,
    storage: RedisStorage<Job>,
}

impl RedisQueue {
    pub(crate) fn open(url: &str) -> anyhow::Result<Self> {
        let client = Client::open(url).context("failed to read the Redis URL")?;
        let connection = connect(&client, RESPONSE_TIMEOUT)?;
        let storage = RedisStorage::new(connection.clone()).with_config(config());
        Ok(Self {
            client,
            connection,
            unsent_updates: Arc::new(Semaphore::new(UNSENT_UPDATES_MAX)),
            storage,
        })
    }

    /// Pushes a job unless one is waiting. Concurrent calls may push one each; a surplus job costs one query.
    pub(crate) async fn wake(&self) -> anyhow::Result<()> {
        let push = async {
            if self.waiting_jobs().await? > 0 {
                return Ok(());
            }
            self.storage.clone().push(Job {}).await.context("failed to push a job")
        };
        timeout(WAKE_TIMEOUT, push)
            .await
            .context("timed out while pushing a wake-up to Redis")?
    }

    /// Pings Redis.
    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        let mut connection = self.connection.clone();
        let ping = redis::cmd("PING");
        let reply = ping.query_async::<()>(&mut connection);
        timeout(RESPONSE_TIMEOUT, reply)
            .await
            .context("timed out while pinging Redis")?
            .context("failed to ping Redis")
    }

    /// Number of jobs that no worker has fetched yet.
    pub(crate) async fn waiting_jobs(&self) -> anyhow::Result<usize> {
        let config = self.storage.get_config();
        let mut connection = self.connection.clone();
        // A new job is in the scheduled set until the next fetch moves it to the list.
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

/// Settings of the queue, the same on both sides. A fetch takes one job, so that the next one is left for another
/// process.
pub(crate) fn config() -> Config {
    Config::default()
        .queue(QUEUE_NAME)
        .batch_size(1)
        .heartbeat_interval(Duration::from_secs(5))
        .missed_heartbeats(3)
        .lock_tasks(false)
        .emit_events(false)
}

/// Creates a connection that is established on first use and again after an error. It retries once only, because its
/// users retry by themselves.
pub(crate) fn connect(client: &Client, response_timeout: Duration) -> anyhow::Result<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(response_timeout))
        .set_number_of_retries(1);
    client
        .get_connection_manager_lazy(config)
        .context("failed to set up the Redis connection")
}
