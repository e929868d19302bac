//! The flag that ends work early, and the count of packets by which a long look at a file shows that it moves. Both are
//! looked at per packet, per frame, and the flag inside FFmpeg's blocking reads.

use domain::{Code, Failure, FailureKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A shared flag: any holder may raise it, all work that was given a clone stops soon after.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<State>);

#[derive(Debug, Default)]
struct State {
    raised: AtomicBool,
    moved: AtomicU64,
}

impl Cancel {
    /// A flag that is down.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag; it never goes down again.
    pub fn raise(&self) {
        self.0.raised.store(true, Ordering::Relaxed);
    }

    /// Whether the flag is up.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.raised.load(Ordering::Relaxed)
    }

    /// Packets read so far by work that was given a clone: of probes, searches and verification.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.0.moved.load(Ordering::Relaxed)
    }

    /// Counts a packet.
    pub(crate) fn count(&self) {
        self.0.moved.fetch_add(1, Ordering::Relaxed);
    }

    /// Goes on while the flag is down.
    ///
    /// # Errors
    /// [`Code::Unavailable`] once it is up; whoever raised it knows why.
    pub fn check(&self) -> Result<(), Failure> {
        if self.is_raised() {
            let detail = "stopped on request";
            return Err(Failure::new(FailureKind::Infrastructure, Code::Unavailable, detail));
        }
        Ok(())
    }
}
