//! One stream: the events of an account after a cursor, first from the database, then from the follower.

use super::registry::{Message, Shared};
use domain::UserId;
use entity::{DatabaseConnection, DbErr, event, with_timeout};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Earlier events that a stream reads at once. They are in memory until the client has read them.
const PAGE: u64 = 50;
/// Time within which the database must answer a read.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The start of a stream.
pub(super) struct Start {
    pub(super) account: UserId,
    /// The cursor of the client.
    pub(super) after: i64,
}

/// The place of a stream in the registry.
pub(super) struct Registered {
    pub(super) number: u64,
    /// The queue has all events after this one.
    pub(super) position: i64,
    pub(super) queue: mpsc::Receiver<Message>,
}

/// A stream of events. Dropping it ends it.
pub struct EventStream {
    shared: Arc<Shared>,
    db: DatabaseConnection,
    account: UserId,
    number: u64,
    /// The id of the last event that was returned, or the start.
    cursor: i64,
    /// The earlier events end here.
    earlier_until: i64,
    /// Earlier events that were read.
    page: VecDeque<event::Model>,
    queue: mpsc::Receiver<Message>,
}

impl EventStream {
    pub(super) fn new(shared: Arc<Shared>, db: DatabaseConnection, start: Start, stream: Registered) -> Self {
        Self {
            shared,
            db,
            account: start.account,
            number: stream.number,
            cursor: start.after,
            earlier_until: stream.position,
            page: VecDeque::new(),
            queue: stream.queue,
        }
    }

    /// The position of the stream: all events up to it were returned. It moves on although the account has no events.
    pub fn cursor(&mut self) -> i64 {
        // In this order: events up to the position are in the queue before the position is visible.
        let position = self.shared.position().unwrap_or_default();
        if !self.has_earlier() && self.queue.is_empty() && !self.queue.is_closed() {
            self.cursor = self.cursor.max(position);
        }
        self.cursor
    }

    fn has_earlier(&self) -> bool {
        !self.page.is_empty() || self.cursor < self.earlier_until
    }

    /// Waits for the next message. `None` at the end: the client was too slow, or the log is another one. May be
    /// dropped at any time without losing a message.
    ///
    /// # Errors
    /// Those of the database, while earlier events are read.
    pub async fn next(&mut self) -> Result<Option<Message>, DbErr> {
        while self.has_earlier() {
            if let Some(event) = self.page.pop_front() {
                self.cursor = event.id;
                return Ok(Some(Message::Event(Arc::new(event))));
            }
            self.read_page().await?;
        }
        loop {
            let message = self.queue.recv().await;
            if let Some(Message::Event(event)) = &message {
                // The cursor may be ahead of this process: the client has been connected to another one.
                if event.id <= self.cursor {
                    continue;
                }
                self.cursor = event.id;
            }
            return Ok(message);
        }
    }

    /// Reads the next page of earlier events. An empty one is the last.
    async fn read_page(&mut self) -> Result<(), DbErr> {
        let permit = self.shared.readers.acquire().await;
        let _permit = permit.expect("the semaphore is never closed");
        let range = (self.cursor, self.earlier_until);
        let page = event::of_user(&self.db, self.account, range, PAGE);
        self.page = with_timeout(READ_TIMEOUT, page).await?.into();
        if self.page.is_empty() {
            self.cursor = self.earlier_until;
        }
        Ok(())
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.shared.unregister(self.account, self.number);
    }
}
