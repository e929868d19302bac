//! Measures by what a child tells whether its work moves.

use super::trouble::Trouble;
use domain::protocol::{Phase, Progress};
use std::time::{Duration, Instant};

/// The watch over one request. Words alone are no progress: packets and frames have to move, in each stage that is at work.
pub(super) struct Watch {
    patience: Duration,
    last: Option<(Phase, u8, u64, u64)>,
    since: Instant,
}

impl Watch {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            patience,
            last: None,
            since: Instant::now(),
        }
    }

    /// Takes the next word about the work.
    ///
    /// # Errors
    /// [`Trouble::Still`] when nothing has moved for too long, or one stage hangs while others go on.
    pub(super) fn look(&mut self, progress: &Progress) -> Result<(), Trouble> {
        let told = (progress.phase, progress.percent, progress.frames, progress.moved);
        if self.last.replace(told) != Some(told) {
            self.since = Instant::now();
        }
        let still = self.since.elapsed().max(Duration::from_millis(progress.still_ms));
        if still < self.patience {
            Ok(())
        } else {
            Err(Trouble::Still(self.patience))
        }
    }
}
