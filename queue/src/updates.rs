//! Publish/subscribe of task updates.
//!
//! *Problem.* A client that waits for a task should learn of a change at once, in whichever process it was made.
//! Reading the row many times per second for each waiting client would be the load that waiting is meant to save.
//!
//! *Mechanism.* After a change of status or percent is committed, its writer publishes a [`TaskUpdate`], which says
//! that the task has changed and nothing else. In memory it goes straight to the subscriptions of this process. With
//! Redis it goes through one channel; each process with subscriptions receives the channel on one connection
//! (`redis_updates.rs`) and passes each update to the subscriptions of its task.
//!
//! ```text
//!  commit ──► publish_update() ──► Redis channel ──► background task `updates` ──► subscription ──► reads the row
//! ```
//!
//! *Invariants.* An update is a hint; the row is the truth. Subscribers read the row after an update and, since any
//! update may be lost, from time to time without one. A task that is released because its claim was not acknowledged
//! has no update. Publishing neither waits nor fails. Several updates that
//! arrive before the subscriber looks wake it once. A task without subscription takes no memory. [`Updates`] receives
//! the updates of all tasks, for the one reader of a process that serves many clients.
//!
//! *Rejected.* Status and percent in the message: a second truth, which may arrive late or out of order. A channel of
//! Redis for each task: a command to Redis for each request. Streams of Redis: they keep a history that nothing reads.

use domain::{TaskId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};

/// The message: a task of an account has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct TaskUpdate {
    pub(crate) task: TaskId,
    pub(crate) account: UserId,
}

/// Number of updates that a receiver of all of them may be behind.
const BEHIND_MAX: usize = 1_024;

/// The subscriptions of one process. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Subscriptions {
    topics: Arc<Mutex<HashMap<TaskUpdate, Topic>>>,
    all: broadcast::Sender<TaskUpdate>,
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self {
            topics: Arc::default(),
            all: broadcast::Sender::new(BEHIND_MAX),
        }
    }
}

/// The subscriptions to one task.
#[derive(Debug)]
struct Topic {
    updates: watch::Sender<()>,
    subscriptions: usize,
}

impl Subscriptions {
    /// Wakes the subscriptions to the task.
    pub(crate) fn deliver(&self, update: TaskUpdate) {
        if let Some(topic) = self.lock().get(&update) {
            topic.updates.send_replace(());
        }
        // Fails without a receiver.
        let _ = self.all.send(update);
    }

    pub(crate) fn subscribe_all(&self) -> Updates {
        Updates(self.all.subscribe())
    }

    pub(crate) fn subscribe(&self, key: TaskUpdate) -> Subscription {
        let mut topics = self.lock();
        let topic = topics.entry(key).or_insert_with(|| Topic {
            updates: watch::Sender::new(()),
            subscriptions: 0,
        });
        topic.subscriptions += 1;
        Subscription {
            key,
            updates: topic.updates.subscribe(),
            all: self.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskUpdate, Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A subscription to the updates of all tasks.
#[derive(Debug)]
pub struct Updates(broadcast::Receiver<TaskUpdate>);

impl Updates {
    /// Waits for the next update. Updates that came while the receiver was too far behind are lost.
    pub async fn next(&mut self) -> (UserId, TaskId) {
        loop {
            match self.0.recv().await {
                Ok(update) => return (update.account, update.task),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                // The process ends.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

/// A subscription to the updates of one task. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    key: TaskUpdate,
    updates: watch::Receiver<()>,
    all: Subscriptions,
}

impl Subscription {
    /// Waits for an update since the subscription began or this returned last.
    pub async fn updated(&mut self) {
        let update = self.updates.changed().await;
        update.expect("a topic exists as long as its subscriptions");
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut topics = self.all.lock();
        if let Some(topic) = topics.get_mut(&self.key) {
            topic.subscriptions -= 1;
            if topic.subscriptions == 0 {
                topics.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn key(task: i64) -> TaskUpdate {
        TaskUpdate {
            task: TaskId(task),
            account: UserId(1),
        }
    }

    #[test]
    fn an_update_wakes_each_subscription_to_its_task_once() {
        let all = Subscriptions::default();
        let (mut first, mut second, mut other) = (all.subscribe(key(1)), all.subscribe(key(1)), all.subscribe(key(2)));
        all.deliver(key(1));
        all.deliver(key(1));
        for subscription in [&mut first, &mut second] {
            assert!(subscription.updated().now_or_never().is_some());
            assert!(subscription.updated().now_or_never().is_none());
        }
        assert!(other.updated().now_or_never().is_none());
        let mut late = all.subscribe(key(1));
        assert!(late.updated().now_or_never().is_none());
    }

    #[test]
    fn an_update_of_another_account_wakes_no_subscription() {
        let all = Subscriptions::default();
        let mut mine = all.subscribe(key(1));
        all.deliver(TaskUpdate {
            account: UserId(2),
            ..key(1)
        });
        assert!(mine.updated().now_or_never().is_none());
    }

    #[test]
    fn updates_of_all_tasks_arrive_in_order_and_those_too_far_behind_are_lost() {
        let all = Subscriptions::default();
        let mut updates = all.subscribe_all();
        let mut next = || updates.next().now_or_never().map(|(_, task)| task.0);
        all.deliver(key(1));
        all.deliver(key(2));
        assert_eq!([next(), next(), next()], [Some(1), Some(2), None]);
        for task in 0..2_000 {
            all.deliver(key(task));
        }
        let seen: Vec<_> = std::iter::from_fn(next).collect();
        assert_eq!((seen.len(), seen.last()), (BEHIND_MAX, Some(&1_999)));
    }

    #[test]
    fn subscriptions_leave_nothing_behind() {
        let all = Subscriptions::default();
        let (first, second) = (all.subscribe(key(1)), all.subscribe(key(1)));
        drop(first);
        assert_eq!(all.lock().len(), 1);
        drop(second);
        all.deliver(key(1));
        assert_eq!(all.lock().len(), 0);
    }
}
