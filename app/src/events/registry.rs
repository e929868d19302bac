//! The open streams of a process, and the position up to which their queues are filled.

use crate::{Error, Refusal};
use domain::{Code, UserId};
use entity::event;
use entity::task::TaskProgress;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::timeout;

/// Messages that may wait for one client. Each is a pointer to a message that the streams of its account share.
pub(super) const QUEUE: usize = 256;
/// Streams of one account in one process.
const MAX_PER_ACCOUNT: usize = 20;
/// Streams of a process, unless [`EventStreams::limited_to`] says otherwise.
const MAX: usize = 512;
/// Streams that read earlier events at the same time, so that many that connect at once leave database connections
/// for others.
const READERS: usize = 4;
/// Time in which the follower has its first position, if the database answers.
const START_TIMEOUT: Duration = Duration::from_secs(5);
/// Time after which a stream may have ended.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// A message to a client.
#[derive(Clone, Debug)]
pub enum Message {
    /// An event.
    Event(Arc<event::Model>),
    /// The progress of a task that has not ended.
    Progress(Arc<TaskProgress>),
}

/// The place of a stream in the registry.
pub(super) struct Registered {
    pub(super) number: u64,
    /// The queue has all events after this one.
    pub(super) position: i64,
    pub(super) queue: mpsc::Receiver<Message>,
}

/// The streams of a process. Clones share them.
#[derive(Clone)]
pub struct EventStreams {
    pub(super) shared: Arc<Shared>,
    max: usize,
}

pub(super) struct Shared {
    registry: Mutex<Registry>,
    /// The id up to which the follower has delivered all events; `None` until it has read the database.
    position: watch::Sender<Option<i64>>,
    /// Wakes the follower for the first stream.
    pub(super) opened: Notify,
    pub(super) readers: Semaphore,
}

#[derive(Default)]
struct Registry {
    /// Number of the latest stream.
    latest: u64,
    accounts: HashMap<UserId, Vec<Subscriber>>,
}

struct Subscriber {
    number: u64,
    queue: mpsc::Sender<Message>,
}

impl Default for EventStreams {
    fn default() -> Self {
        let shared = Shared {
            registry: Mutex::default(),
            position: watch::Sender::new(None),
            opened: Notify::new(),
            readers: Semaphore::new(READERS),
        };
        Self {
            shared: Arc::new(shared),
            max: MAX,
        }
    }
}

impl EventStreams {
    /// The same streams with another maximum for the process.
    #[must_use]
    pub fn limited_to(&self, max: usize) -> Self {
        Self {
            shared: self.shared.clone(),
            max,
        }
    }

    /// Registers a stream, once the follower has its first position.
    ///
    /// # Errors
    /// `event_streams_too_many`; `unavailable` while the database has not answered yet.
    pub(super) async fn register(&self, account: UserId) -> Result<Registered, Error> {
        let mut position = self.shared.position.subscribe();
        let is_started = matches!(
            timeout(START_TIMEOUT, position.wait_for(Option::is_some)).await,
            Ok(Ok(_))
        );
        if !is_started {
            return Err(Code::Unavailable.into());
        }
        let registered = self.shared.register(account, self.max)?;
        self.shared.opened.notify_one();
        Ok(registered)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a stream. Its queue gets all events after the returned position.
    fn register(&self, account: UserId, max: usize) -> Result<Registered, Refusal> {
        let mut registry = self.lock();
        let all: usize = registry.accounts.values().map(Vec::len).sum();
        let of_account = registry.accounts.get(&account).map_or(0, Vec::len);
        for (count, max, scope) in [(of_account, MAX_PER_ACCOUNT, "account"), (all, max, "process")] {
            if count >= max {
                let refusal = Refusal::new(Code::EventStreamsTooMany).detail(format!("{max} streams of this {scope}"));
                return Err(refusal.retry_after(RETRY_AFTER));
            }
        }
        registry.latest += 1;
        let number = registry.latest;
        let (sender, queue) = mpsc::channel(QUEUE);
        let subscriber = Subscriber { number, queue: sender };
        registry.accounts.entry(account).or_default().push(subscriber);
        metrics::gauge!("rushes_event_streams").increment(1.0);
        let position = self.position.borrow().unwrap_or_default();
        Ok(Registered {
            number,
            position,
            queue,
        })
    }

    /// Removes a stream that may have been removed already.
    pub(super) fn unregister(&self, account: UserId, number: u64) {
        self.lock().retain(account, |subscriber| subscriber.number != number);
    }

    pub(super) fn position(&self) -> Option<i64> {
        *self.position.borrow()
    }

    /// Returns `true` if the account has a stream.
    pub(super) fn has_streams_of(&self, account: UserId) -> bool {
        self.lock().accounts.contains_key(&account)
    }

    pub(super) fn has_streams(&self) -> bool {
        !self.lock().accounts.is_empty()
    }

    /// Hands events to the streams of their accounts, then sets the position. Both under one lock: a stream that is
    /// registered in between would get some events twice.
    pub(super) fn deliver(&self, events: Vec<event::Model>, position: i64) {
        let mut registry = self.lock();
        for event in events {
            let account = event.owner();
            let event = Arc::new(event);
            registry.retain(account, |subscriber| {
                let sent = subscriber.queue.try_send(Message::Event(event.clone()));
                if matches!(sent, Err(mpsc::error::TrySendError::Full(_))) {
                    metrics::counter!("rushes_event_streams_dropped_total").increment(1);
                }
                sent.is_ok()
            });
        }
        self.position.send_replace(Some(position));
    }

    /// Hands progress to the streams of its account that have room for it.
    pub(super) fn deliver_progress(&self, progress: TaskProgress) {
        let account = UserId(progress.user_id);
        let progress = Arc::new(progress);
        let registry = self.lock();
        for subscriber in registry.accounts.get(&account).into_iter().flatten() {
            if subscriber.queue.capacity() > QUEUE / 2 {
                // Closed when the client is gone; then its stream is about to be removed.
                let _ = subscriber.queue.try_send(Message::Progress(progress.clone()));
            }
        }
    }

    /// Ends all streams and begins at another position: the log is not the one that was followed.
    pub(super) fn restart(&self, position: i64) {
        let mut registry = self.lock();
        let accounts: Vec<_> = registry.accounts.keys().copied().collect();
        for account in accounts {
            registry.retain(account, |_| false);
        }
        self.position.send_replace(Some(position));
    }
}

impl Registry {
    /// Keeps the streams of an account that satisfy the condition.
    fn retain(&mut self, account: UserId, keep: impl FnMut(&Subscriber) -> bool) {
        let Some(subscribers) = self.accounts.get_mut(&account) else {
            return;
        };
        let before = subscribers.len();
        subscribers.retain(keep);
        let (removed, is_empty) = (before - subscribers.len(), subscribers.is_empty());
        if removed > 0 {
            metrics::gauge!("rushes_event_streams").decrement(removed as f64);
        }
        if is_empty {
            self.accounts.remove(&account);
        }
    }
}
