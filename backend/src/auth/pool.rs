//! A bounded pool of threads for password hashes, of the same priority as the rest of the API. Media children are the ones that
//! yield (`media::sandbox`), so a login does not wait for an encoder.
//!
//! There are two queues. Work of the first is always taken before work of the second, so that a flood of logins from unknown
//! networks does not delay accounts that are used from where they usually are.
//!
//! A request reserves a slot of its queue before it asks the database: a flood is refused at once, instead of taking the
//! connections to the database from all other requests.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Work = Box<dyn FnOnce() + Send>;

/// Which queue a piece of work waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// Taken first: a login from a network from which the right password of its account came lately.
    Known,
    /// Everything else.
    Other,
}

/// Hands work to its threads. They end when it is dropped, after the work that was accepted.
pub(super) struct Pool {
    shared: Arc<Shared>,
    known: Arc<Semaphore>,
    other: Arc<Semaphore>,
}

/// The right to have one piece of work done. It is given back when the work is done, or when it is dropped unused.
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
    /// Starts `threads` threads; `capacity` is the most that may wait in each queue while all of them work for it.
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

    /// Reserves a slot; `None` when all of its queue are taken.
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
    /// No code that could panic runs under this lock, so a poisoned one still holds whole queues.
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        while let Some(work) = self.next() {
            // The caller sees that its answer was dropped; the thread goes on with the next piece.
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    }

    /// Waits for work; `None` when the pool was dropped and nothing waits any more.
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
        let reserved = slot.is_some();
        if let Some(slot) = slot {
            pool.submit(slot, work);
        }
        reserved
    }

    /// A pool of one thread that is busy until the sender is dropped.
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
    fn known_networks_are_served_before_others_whatever_came_first() {
        let (pool, release) = busy(8);
        let (done, order) = channel();
        for (name, priority) in [("a", Priority::Other), ("b", Priority::Other), ("c", Priority::Known)] {
            let done = done.clone();
            assert!(submit(&pool, priority, move || done.send(name).unwrap()));
        }
        drop((release, done));
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
        let (done, answer) = channel();
        assert!(submit(&pool, Priority::Other, move || done.send(()).unwrap()));
        answer.recv().unwrap();
    }
}
