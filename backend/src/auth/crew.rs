//! Threads for long computations, of the lowest claim to a processor: requests that wait for nothing go first.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

type Work = Box<dyn FnOnce() + Send>;

/// Hands work to its threads, which end with it.
pub(super) struct Crew(Sender<Work>);

/// Niceness of the threads; with 19 a thread gets about a seventieth of a core that others want too (sched(7)).
const NICENESS: i32 = 19;

impl Crew {
    /// Starts so many threads.
    pub(super) fn new(threads: usize) -> Self {
        let (sender, receiver) = channel::<Work>();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..threads {
            let receiver = receiver.clone();
            std::thread::spawn(move || work_off(&receiver));
        }
        Self(sender)
    }

    /// Has some thread do it, in the order of asking.
    pub(super) fn give(&self, work: impl FnOnce() + Send + 'static) {
        self.0
            .send(Box::new(work))
            .expect("the threads live as long as the crew");
    }
}

fn work_off(receiver: &Mutex<Receiver<Work>>) {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS) {
        tracing::warn!(%error, "passwords are checked at full priority");
    }
    loop {
        let work = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = work else { return };
        // What panics answers nobody; the next one in line is not to blame.
        let _ = catch_unwind(AssertUnwindSafe(work));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[test]
    fn a_panic_takes_no_thread_away() {
        let crew = Crew::new(2);
        for _ in 0..8 {
            crew.give(|| panic!("injected"));
        }
        let (told, result) = channel();
        crew.give(move || told.send(1).unwrap());
        assert_eq!(result.recv(), Ok(1));
    }
}
