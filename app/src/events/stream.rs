//! One stream: the events of an account after a cursor, first from the database, then from the follower.

use super::cursor::check_cursor;
use super::registry::{EventStreams, Message, Shared};
use crate::Error;
use domain::UserId;
use entity::event::{self, Range};
use entity::{DatabaseConnection, DbErr, with_timeout};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Earlier events that a stream reads at once. They are in memory until the client has read them.
const PAGE: u64 = 50;
/// Time within which the database must answer a read.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

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

impl EventStreams {
    /// Opens a stream of the events of an account after a position; without one, of those from now on.
    ///
    /// # Errors
    /// `event_streams_too_many`, `cursor_expired`; `unavailable` while the database has not answered yet.
    pub async fn open(
        &self,
        db: &DatabaseConnection,
        account: UserId,
        after: Option<i64>,
    ) -> Result<EventStream, Error> {
        let ends = event::ends(db).await?;
        if let Some(after) = after {
            check_cursor(ends, after)?;
        }
        let registered = self.register(account).await?;
        Ok(EventStream {
            shared: self.shared.clone(),
            db: db.clone(),
            account,
            number: registered.number,
            // The follower may be behind the end of the log.
            cursor: after.unwrap_or(ends.newest),
            earlier_until: registered.position,
            page: VecDeque::new(),
            queue: registered.queue,
        })
    }
}

impl EventStream {
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
            // On the heap while it runs: the future would make each open stream 3 KiB larger.
            Box::pin(self.read_page()).await?;
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
        let range = Range {
            after: self.cursor,
            until: self.earlier_until,
        };
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
