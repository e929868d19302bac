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
//! arrive before the subscriber looks wake it once. A task without subscription takes no memory.
//!
//! *Rejected.* Status and percent in the message: a second truth, which may arrive late or out of order. A channel of
//! Redis for each task: a command to Redis for each request. Streams of Redis: they keep a history that nothing reads.

use domain::{TaskId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The message: a task of an account has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct TaskUpdate {
    pub(crate) task: TaskId,
    pub(crate) account: UserId,
}

/// The subscriptions of one process. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subscriptions(Arc<Mutex<HashMap<TaskUpdate, Topic>>>);

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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
