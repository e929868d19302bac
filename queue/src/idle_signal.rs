//! Connects the apalis worker to the process: apalis fetches a job only while the process is idle.
//!
//! *Problem.* apalis fetches jobs whenever its service is ready. A process without a free slot would take jobs from
//! Redis that an idle process could handle at once.
//!
//! *Mechanism.* A process is idle while it waits in [`IdleSignal::woken`]. apalis polls [`IdleSignal::poll_idle`]
//! before each fetch and passes each job to [`IdleSignal::deliver`].
//!
//! *Invariants.* Each idle period accepts at most one job. A job that arrives after the idle period has ended is
//! refused, and the caller puts it back into Redis.

use futures::task::AtomicWaker;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::sync::Notify;

/// The idle state of this process and the wake-up that ends it.
#[derive(Debug, Default)]
pub(crate) struct IdleSignal {
    is_idle: AtomicBool,
    /// Waker of the apalis worker, which waits for this process to become idle.
    fetcher: AtomicWaker,
    wakeup: Notify,
}

impl IdleSignal {
    /// Waits for a wake-up. The process is idle until this future completes or is dropped.
    pub(crate) async fn woken(&self) {
        let _idle = IdleGuard::new(self);
        self.wakeup.notified().await;
    }

    /// Ready while this process is idle.
    pub(crate) fn poll_idle(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.fetcher.register(cx.waker());
        if self.is_idle.load(Ordering::SeqCst) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Wakes this process. `false` when it is busy by now; another process should get the job.
    pub(crate) fn deliver(&self) -> bool {
        let was_idle = self.is_idle.swap(false, Ordering::SeqCst);
        if was_idle {
            self.wakeup.notify_one();
        }
        was_idle
    }
}

/// Marks the process as idle until it is dropped.
struct IdleGuard<'a>(&'a IdleSignal);

impl<'a> IdleGuard<'a> {
    fn new(signal: &'a IdleSignal) -> Self {
        signal.is_idle.store(true, Ordering::SeqCst);
        signal.fetcher.wake();
        Self(signal)
    }
}

impl Drop for IdleGuard<'_> {
    fn drop(&mut self) {
        self.0.is_idle.store(false, Ordering::SeqCst);
    }
}
