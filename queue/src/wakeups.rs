//! The receiving side of wake-ups.

use crate::idle_signal::IdleSignal;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The wake-ups of one process.
#[derive(Debug)]
pub struct Wakeups(pub(crate) Receiver);

#[derive(Debug)]
pub(crate) enum Receiver {
    Memory(Arc<Notify>),
    Redis(Arc<IdleSignal>, JoinHandle<()>),
}

impl Wakeups {
    /// Waits for a wake-up. Jobs are taken from Redis only while this future runs.
    pub async fn woken(&self) {
        match &self.0 {
            Receiver::Memory(notify) => notify.notified().await,
            Receiver::Redis(signal, _) => signal.woken().await,
        }
    }

    /// Waits until the last wake-ups are acknowledged. Returns only after the shutdown began.
    pub async fn closed(self) {
        if let Receiver::Redis(_, worker) = self.0
            && let Err(error) = worker.await
        {
            tracing::error!(%error, "the Redis worker panicked");
        }
    }
}
