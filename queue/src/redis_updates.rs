//! Task updates through a channel of Redis.
//!
//! Each message is sent in a Tokio task of its own, so that its writer does not wait for Redis. The number of messages
//! that wait for Redis is limited. Messages beyond it, and those that Redis does not accept in time, are dropped and
//! counted in `rushes_task_updates_dropped_total`.

use crate::redis_queue::RedisQueue;
use crate::restart::restart_until;
use crate::updates::{Subscriptions, TaskUpdate};
use anyhow::Context;
use futures::StreamExt;
use redis::AsyncCommands;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Timeout of one message. An older one would be of little use, since subscribers read the row every few seconds.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);
/// Timeout of the connection, of the subscription and of a ping.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time without a message after which the connection is checked. A connection whose server is gone without a word would
/// otherwise look like one without messages.
const PING_AFTER: Duration = Duration::from_secs(5);

impl RedisQueue {
    /// Sends an update in the background.
    pub(crate) fn publish_update(&self, update: TaskUpdate) {
        let dropped = metrics::counter!("rushes_task_updates_dropped_total");
        let Ok(permit) = self.unsent_updates.clone().try_acquire_owned() else {
            return dropped.increment(1);
        };
        let (mut connection, channel) = (self.connection.clone(), self.updates_channel());
        tokio::spawn(async move {
            // Two numbers always serialize to JSON.
            let message = serde_json::to_string(&update).unwrap_or_default();
            let sent = timeout(SEND_TIMEOUT, connection.publish::<_, _, ()>(channel, message)).await;
            if !matches!(sent, Ok(Ok(()))) {
                tracing::debug!(?sent, "dropped an update of a task");
                dropped.increment(1);
            }
            drop(permit);
        });
    }

    /// Delivers each update to its subscriptions until shutdown. Connects again with backoff when Redis fails.
    pub(crate) async fn receive_updates(self: &Arc<Self>, to: &Subscriptions, shutdown: &CancellationToken) {
        restart_until(shutdown, "subscription to task updates", || {
            self.subscribe_updates(to, shutdown)
        })
        .await;
    }

    /// Receives updates on one connection until shutdown or the first error.
    async fn subscribe_updates(&self, to: &Subscriptions, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let connection = timeout(RESPONSE_TIMEOUT, self.client.get_async_pubsub()).await;
        let connection = connection
            .context("timed out while connecting to Redis")?
            .context("failed to connect to Redis")?;
        let (mut commands, mut messages) = connection.split();
        let subscribed = timeout(RESPONSE_TIMEOUT, commands.subscribe(self.updates_channel())).await;
        subscribed
            .context("timed out while subscribing to task updates")?
            .context("failed to subscribe to task updates")?;
        while let Some(message) = shutdown.run_until_cancelled(timeout(PING_AFTER, messages.next())).await {
            match message {
                Ok(message) => {
                    let message = message.context("Redis closed the connection")?;
                    match serde_json::from_slice(message.get_payload_bytes()) {
                        Ok(update) => to.deliver(update),
                        Err(error) => tracing::debug!(%error, "ignored a malformed update of a task"),
                    }
                }
                Err(_) => {
                    let answered = timeout(RESPONSE_TIMEOUT, commands.ping::<redis::Value>()).await;
                    answered
                        .context("timed out while pinging Redis")?
                        .context("failed to ping Redis")?;
                }
            }
        }
        Ok(())
    }

    /// The channel of the updates. Channels are shared by all logical databases of a Redis, so its name has the number
    /// of the database.
    fn updates_channel(&self) -> String {
        let database = self.client.get_connection_info().redis_settings().db();
        format!("rushes-updates-{database}")
    }
}
