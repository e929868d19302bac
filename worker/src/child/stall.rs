//! Detects a child that sends events and makes no progress.

use super::error::ChildError;
use domain::protocol::{Phase, Progress};
use std::time::{Duration, Instant};

/// The progress of one request.
///
/// An event alone is no progress: the counters in it must change, and each stage that does not wait for another one
/// must move packets or frames. A hanging encoder would otherwise be hidden by the stages around it.
pub(super) struct StallDetector {
    timeout: Duration,
    last: Option<Counters>,
    last_change: Instant,
}

/// The values of a progress event that change when the work goes on.
#[derive(PartialEq, Eq)]
struct Counters {
    phase: Phase,
    percent: u8,
    frames: u64,
    items_processed: u64,
}

impl StallDetector {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            last: None,
            last_change: Instant::now(),
        }
    }

    /// Takes the next progress event.
    ///
    /// # Errors
    /// [`ChildError::Stalled`] when no counter has changed, or one stage has processed nothing, for the timeout.
    pub(super) fn check(&mut self, progress: &Progress) -> Result<(), ChildError> {
        let counters = Counters {
            phase: progress.phase,
            percent: progress.percent,
            frames: progress.frames,
            items_processed: progress.items_processed,
        };
        if self.last.as_ref() != Some(&counters) {
            self.last_change = Instant::now();
            self.last = Some(counters);
        }
        let stalled_for = self
            .last_change
            .elapsed()
            .max(Duration::from_millis(progress.stalled_ms));
        if stalled_for < self.timeout {
            Ok(())
        } else {
            Err(ChildError::Stalled(self.timeout))
        }
    }
}
