//! A bounded thread pool with two priorities, for password hashes.
//!
//! The threads have normal scheduling priority. Media children run at a lower one (`media::sandbox`), so a login does
//! not wait for an encoder.
//!
//! Work in the first queue always runs before work in the second, so that a flood of logins from unknown networks does
//! not delay users who log in from their usual network.
//!
//! A request reserves a slot of its queue before it asks the database. A flood is refused at once, instead of taking
//! the database connections from all other requests.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Work = Box<dyn FnOnce() + Send>;

/// The queue of a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// Runs first: logins from a network that is known for the account (see `throttle.rs`).
    Known,
    /// All other work.
    Other,
}

/// A thread pool. When it is dropped, its threads finish the accepted work and end.
pub(super) struct Pool {
    shared: Arc<Shared>,
    known: Arc<Semaphore>,
    other: Arc<Semaphore>,
}

/// A permit for one piece of work. It is returned when the work is finished, or when it is dropped unused.
pub(crate) struct Slot {
    priority: Priority,
    _permit: OwnedSemaphorePermit,
}

struct Shared {
    queues: Mutex<Queues>,
    changed: Condvar,
}

#[derive(Default)]
struct Queues {
    known: VecDeque<Work>,
    other: VecDeque<Work>,
    closed: bool,
}

impl Pool {
    /// Starts `threads` threads. At most `threads + capacity` pieces of work of each priority run or wait at a time.
    pub(super) fn new(threads: usize, capacity: usize) -> Self {
        let shared = Arc::new(Shared {
            queues: Mutex::default(),
            changed: Condvar::new(),
        });
        let slots = || Arc::new(Semaphore::new(threads + capacity));
        for _ in 0..threads {
            let shared = shared.clone();
            std::thread::spawn(move || shared.run());
        }
        Self {
            shared,
            known: slots(),
            other: slots(),
        }
    }

    /// Reserves a slot. Returns `None` when all slots of the queue are in use.
    pub(super) fn reserve(&self, priority: Priority) -> Option<Slot> {
        let slots = match priority {
            Priority::Known => &self.known,
            Priority::Other => &self.other,
        };
        let permit = slots.clone().try_acquire_owned().ok()?;
        Some(Slot {
            priority,
            _permit: permit,
        })
    }

    /// Queues a piece of work.
    pub(super) fn submit(&self, slot: Slot, work: impl FnOnce() + Send + 'static) {
        let mut queues = self.shared.lock();
        let queue = match slot.priority {
            Priority::Known => &mut queues.known,
            Priority::Other => &mut queues.other,
        };
        queue.push_back(Box::new(move || {
            let _slot = slot;
            work();
        }));
        drop(queues);
        self.shared.changed.notify_one();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// Locks the queues. No code that can panic runs under this lock, so a poisoned lock still guards consistent
    /// queues.
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        while let Some(work) = self.next() {
            // A panic drops the sender of the result, which the caller observes; the thread continues with the next
            // work.
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    }

    /// Waits for work; `None` when the pool was dropped and both queues are empty.
    fn next(&self) -> Option<Work> {
        let mut queues = self.lock();
        loop {
            let work = queues.known.pop_front().or_else(|| queues.other.pop_front());
            if work.is_some() || queues.closed {
                return work;
            }
            queues = self.changed.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn submit(pool: &Pool, priority: Priority, work: impl FnOnce() + Send + 'static) -> bool {
        let slot = pool.reserve(priority);
        let is_reserved = slot.is_some();
        if let Some(slot) = slot {
            pool.submit(slot, work);
        }
        is_reserved
    }

    /// A pool with one thread, which is busy until the sender is dropped.
    fn busy(capacity: usize) -> (Pool, std::sync::mpsc::Sender<()>) {
        let pool = Pool::new(1, capacity);
        let (release, held) = channel();
        let (started, has_started) = channel();
        assert!(submit(&pool, Priority::Other, move || {
            started.send(()).unwrap();
            let _ = held.recv();
        }));
        has_started.recv().unwrap();
        (pool, release)
    }

    #[test]
    fn work_of_known_networks_runs_before_earlier_work_of_others() {
        let (pool, release) = busy(8);
        let (sender, order) = channel();
        for (name, priority) in [("a", Priority::Other), ("b", Priority::Other), ("c", Priority::Known)] {
            let sender = sender.clone();
            assert!(submit(&pool, priority, move || sender.send(name).unwrap()));
        }
        drop((release, sender));
        assert_eq!(order.iter().collect::<Vec<_>>(), ["c", "a", "b"]);
    }

    #[test]
    fn a_full_queue_refuses_and_leaves_room_in_the_other_one() {
        let (pool, _release) = busy(2);
        assert!(submit(&pool, Priority::Other, || ()) && submit(&pool, Priority::Other, || ()));
        assert!(!submit(&pool, Priority::Other, || ()), "two may wait");
        assert!(submit(&pool, Priority::Known, || ()));
    }

    #[test]
    fn a_slot_that_is_dropped_or_whose_work_is_done_is_free_again() {
        let pool = Pool::new(1, 0);
        for _ in 0..3 {
            let slot = pool.reserve(Priority::Other).unwrap();
            assert!(pool.reserve(Priority::Other).is_none());
            drop(slot);
            let (done, answer) = channel();
            assert!(submit(&pool, Priority::Other, move || done.send(()).unwrap()));
            answer.recv().unwrap();
            while pool.other.available_permits() == 0 {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_panic_ends_neither_the_thread_nor_the_pool() {
        let pool = Pool::new(1, 2);
        assert!(submit(&pool, Priority::Other, || panic!("of a test")));
        let (sender, receiver) = channel();
        assert!(submit(&pool, Priority::Other, move || sender.send(()).unwrap()));
        receiver.recv().unwrap();
    }
}
