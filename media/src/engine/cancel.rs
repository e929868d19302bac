//! Cancellation flag, shared between threads, and a counter of packets read.
//!
//! The flag is checked for each packet and frame, and in the interrupt callback of FFmpeg's blocking reads. The counter
//! shows that work without progress messages, such as probing, does not hang.

use domain::{Code, Failure};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A shared cancellation flag. Clones share one state; any holder may raise it, and work that holds a clone stops soon
/// after.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<State>);

#[derive(Debug, Default)]
struct State {
    raised: AtomicBool,
    packets_read: AtomicU64,
}

impl Cancel {
    /// Creates a flag that is not raised.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag. It cannot be lowered.
    pub fn raise(&self) {
        self.0.raised.store(true, Ordering::Relaxed);
    }

    /// Returns `true` if the flag is raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.raised.load(Ordering::Relaxed)
    }

    /// Number of packets that the holders of clones have read: probing, seeking and verification.
    #[must_use]
    pub fn packets_read(&self) -> u64 {
        self.0.packets_read.load(Ordering::Relaxed)
    }

    /// Counts one packet read.
    pub(crate) fn count_packet(&self) {
        self.0.packets_read.fetch_add(1, Ordering::Relaxed);
    }

    /// Fails if the flag is raised.
    ///
    /// # Errors
    /// [`Code::Unavailable`]. The holder that raised the flag replaces it by the actual reason.
    pub fn check(&self) -> Result<(), Failure> {
        if self.is_raised() {
            let detail = "stopped on request";
            return Err(Failure::new(Code::Unavailable, detail));
        }
        Ok(())
    }
}
