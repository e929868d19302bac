//! Stage activity: detects a stage of a transcode that hangs.
//!
//! *Problem.* A watchdog stops a child that makes no progress. Progress in percent is not enough for that: one output
//! may hang while the others finish, and the percentage stands still while a frame that lasts an hour is encoded.
//!
//! *Mechanism.* Reading and decoding is one stage, every output is one, and so is every rung of an adaptive output. A
//! stage counts the packets and frames that it passes on, with the time of the last one. While it waits for another
//! stage it is idle, and idle stages are ignored. [`Stages::snapshot`] returns the sum of the counts and the longest
//! time since the last item of any active stage.
//!
//! *Invariants.* A stage becomes idle before each call that blocks on another stage, and when it ends. A repeated frame
//! counts as an item. A stage that hangs is therefore detected although others advance, and slow work is not mistaken
//! for a hang.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Value of `State::last_item_ms` of an idle stage. It is in the future, so the time since then saturates to 0.
const IDLE: u64 = u64::MAX;

/// Bytes per second that the slowest supported storage rewrites when the index (`moov`) of a finished file moves to its
/// front.
const REWRITE_BYTES_PER_S: u64 = 10 << 20;

/// All stages of a transcode. Clones share the same stages.
#[derive(Clone, Debug)]
pub(crate) struct Stages(Arc<Registry>);

#[derive(Debug)]
struct Registry {
    started: Instant,
    stages: Mutex<Vec<Stage>>,
}

/// One stage. Clones share the same state.
#[derive(Clone, Debug)]
pub(crate) struct Stage(Arc<State>);

#[derive(Debug)]
struct State {
    started: Instant,
    items: AtomicU64,
    /// Time of the last item, in milliseconds after `started`; [`IDLE`] while the stage is idle.
    last_item_ms: AtomicU64,
}

/// Activity of all stages at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StageSnapshot {
    /// Packets and frames that all stages have passed on.
    pub(crate) items_processed: u64,
    /// Longest time since the last item of an active stage, in milliseconds; 0 when all are idle.
    pub(crate) stalled_ms: u64,
}

impl Stages {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Registry {
            started: Instant::now(),
            stages: Mutex::default(),
        }))
    }

    /// Adds a stage, which is idle at first.
    pub(crate) fn add_stage(&self) -> Stage {
        let stage = Stage(Arc::new(State {
            started: self.0.started,
            items: AtomicU64::new(0),
            last_item_ms: AtomicU64::new(IDLE),
        }));
        let mut stages = self.0.stages.lock().unwrap_or_else(PoisonError::into_inner);
        stages.push(stage.clone());
        stage
    }

    /// Reads the activity of all stages.
    pub(crate) fn snapshot(&self) -> StageSnapshot {
        let now_ms = millis(self.0.started.elapsed());
        let stages = self.0.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let mut snapshot = StageSnapshot::default();
        for Stage(state) in stages.iter() {
            let stalled_ms = now_ms.saturating_sub(state.last_item_ms.load(Ordering::Relaxed));
            snapshot.items_processed += state.items.load(Ordering::Relaxed);
            snapshot.stalled_ms = snapshot.stalled_ms.max(stalled_ms);
        }
        snapshot
    }
}

impl Stage {
    /// Counts a packet or frame and marks the stage as active.
    pub(crate) fn count_item(&self) {
        self.0.items.fetch_add(1, Ordering::Relaxed);
        self.set_active();
    }

    /// Marks the stage as active from now on.
    pub(crate) fn set_active(&self) {
        self.0
            .last_item_ms
            .store(millis(self.0.started.elapsed()), Ordering::Relaxed);
    }

    /// Marks the stage as idle: it waits for another one, or it has ended.
    pub(crate) fn set_idle(&self) {
        self.0.last_item_ms.store(IDLE, Ordering::Relaxed);
    }

    /// Allows the stage the time to rewrite a file of this many bytes: FFmpeg does it in one call, without an item.
    pub(crate) fn allow_rewrite(&self, bytes: u64) {
        let until = self.0.started.elapsed() + Duration::from_secs(bytes / REWRITE_BYTES_PER_S);
        self.0.last_item_ms.store(millis(until), Ordering::Relaxed);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(IDLE - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_hangs_is_detected_although_others_are_active_or_idle() {
        let stages = Stages::new();
        let (hung, active, idle) = (stages.add_stage(), stages.add_stage(), stages.add_stage());
        hung.set_active();
        active.set_active();
        idle.set_active();
        idle.set_idle();
        let until = Instant::now() + Duration::from_millis(30);
        while Instant::now() < until {
            active.count_item();
        }
        let snapshot = stages.snapshot();
        assert!(
            snapshot.items_processed > 0 && snapshot.stalled_ms >= 25,
            "{snapshot:?}"
        );
        hung.set_idle();
        active.set_idle();
        assert_eq!(stages.snapshot().stalled_ms, 0, "an idle stage does not hang");
    }

    #[test]
    fn the_time_to_rewrite_a_file_follows_its_size() {
        let stages = Stages::new();
        let stage = stages.add_stage();
        stage.allow_rewrite(100 * REWRITE_BYTES_PER_S);
        assert_eq!(stages.snapshot().stalled_ms, 0);
    }
}
