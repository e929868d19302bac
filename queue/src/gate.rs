//! Whether this process waits for a wake-up. The apalis worker polls it before each fetch, so that a busy process takes
//! no job that an idle one could have.

use futures::task::AtomicWaker;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(crate) struct Gate {
    idle: AtomicBool,
    /// The apalis worker, while it waits for this process to be idle.
    fetcher: AtomicWaker,
    woken: Notify,
}

impl Gate {
    /// Waits for a wake-up, and lets the apalis worker fetch meanwhile.
    pub(crate) async fn woken(&self) {
        let _idle = Idle::begin(self);
        self.woken.notified().await;
    }

    /// Ready while this process is idle.
    pub(crate) fn poll_idle(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.fetcher.register(cx.waker());
        if self.idle.load(Ordering::SeqCst) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Hands a wake-up over. `false`: this process has become busy since the fetch began, and another one should have it.
    pub(crate) fn deliver(&self) -> bool {
        let idle = self.idle.swap(false, Ordering::SeqCst);
        if idle {
            self.woken.notify_one();
        }
        idle
    }
}

/// Says that the process is busy again when the wait ends, also when it is given up.
struct Idle<'a>(&'a Gate);

impl<'a> Idle<'a> {
    fn begin(gate: &'a Gate) -> Self {
        gate.idle.store(true, Ordering::SeqCst);
        gate.fetcher.wake();
        Self(gate)
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.idle.store(false, Ordering::SeqCst);
    }
}
