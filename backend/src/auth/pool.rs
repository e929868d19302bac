//! A bounded pool of threads for password hashes, of the same priority as the rest of the API. Media children are the ones that
//! yield (`media::sandbox`), so a login does not wait for an encoder.
//!
//! There are two queues. Work of the first is always taken before work of the second, so that a flood of logins from unknown
//! networks does not delay accounts that are used from where they usually are.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

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
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    queues: Mutex<Queues>,
    changed: Condvar,
    /// The most that may wait in each queue.
    capacity: usize,
}

#[derive(Default)]
struct Queues {
    known: VecDeque<Work>,
    other: VecDeque<Work>,
    closed: bool,
}

impl Pool {
    /// Starts `threads` threads; `capacity` is the most that may wait in each queue.
    pub(super) fn new(threads: usize, capacity: usize) -> Self {
        let shared = Arc::new(Shared {
            queues: Mutex::default(),
            changed: Condvar::new(),
            capacity,
        });
        for _ in 0..threads {
            let shared = shared.clone();
            std::thread::spawn(move || shared.run());
        }
        Self(shared)
    }

    /// Queues a piece of work; `false` when the queue is full, and then the work is dropped.
    pub(super) fn submit(&self, priority: Priority, work: impl FnOnce() + Send + 'static) -> bool {
        let mut queues = self.0.lock();
        let queue = match priority {
            Priority::Known => &mut queues.known,
            Priority::Other => &mut queues.other,
        };
        if queue.len() >= self.0.capacity {
            return false;
        }
        queue.push_back(Box::new(work));
        drop(queues);
        self.0.changed.notify_one();
        true
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
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

    /// A pool of one thread that is busy until the sender is dropped.
    fn busy(capacity: usize) -> (Pool, std::sync::mpsc::Sender<()>) {
        let pool = Pool::new(1, capacity);
        let (release, held) = channel();
        let (started, has_started) = channel();
        assert!(pool.submit(Priority::Other, move || {
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
            assert!(pool.submit(priority, move || done.send(name).unwrap()));
        }
        drop((release, done));
        assert_eq!(order.iter().collect::<Vec<_>>(), ["c", "a", "b"]);
    }

    #[test]
    fn a_full_queue_refuses_and_leaves_room_in_the_other_one() {
        let (pool, _release) = busy(2);
        assert!(pool.submit(Priority::Other, || ()) && pool.submit(Priority::Other, || ()));
        assert!(!pool.submit(Priority::Other, || ()), "two may wait");
        assert!(pool.submit(Priority::Known, || ()));
    }

    #[test]
    fn a_panic_ends_neither_the_thread_nor_the_pool() {
        let pool = Pool::new(1, 2);
        assert!(pool.submit(Priority::Other, || panic!("of a test")));
        let (done, answer) = channel();
        assert!(pool.submit(Priority::Other, move || done.send(()).unwrap()));
        answer.recv().unwrap();
    }
}
