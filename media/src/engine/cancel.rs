//! The flag that ends work early. It is looked at per packet, per frame, and inside FFmpeg's blocking reads.

use domain::{Code, Failure, FailureKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A shared flag: any holder may raise it, all work that was given a clone stops soon after.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A flag that is down.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag; it never goes down again.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the flag is up.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
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
