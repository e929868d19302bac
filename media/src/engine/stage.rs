//! Measures whether the stages of the work move.
//!
//! Reading and decoding is one stage, every output is one, and so is every rung of an adaptive stream. A stage counts the
//! packets and frames that it passes on. While it waits for another stage it is not at work, and its clock stands still. So
//! a stage that hangs is seen although the others finish or go on, and one that works on a picture that is shown for an
//! hour is not taken for one that hangs: it counts every frame.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time of the last move of a stage that is not at work.
const IDLE: u64 = u64::MAX;

/// Bytes per second that the slowest storage moves when a finished file is rewritten with its index first.
const REWRITE_BYTES_PER_S: u64 = 10 << 20;

/// Registry stages of one piece of work. Handles are cheap and lead to the same stages.
#[derive(Clone, Debug)]
pub(crate) struct Stages(Arc<Registry>);

#[derive(Debug)]
struct Registry {
    started: Instant,
    stages: Mutex<Vec<Stage>>,
}

/// One stage. Handles are cheap and lead to the same stage.
#[derive(Clone, Debug)]
pub(crate) struct Stage(Arc<State>);

#[derive(Debug)]
struct State {
    started: Instant,
    items: AtomicU64,
    /// When it last items something, in milliseconds after `started`; [`IDLE`] while it is not at work.
    last_item_ms: AtomicU64,
}

impl Stages {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Registry {
            started: Instant::now(),
            stages: Mutex::default(),
        }))
    }

    /// A new stage, which waits.
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

    /// Packets and frames items in all stages, and the milliseconds since the stage that stands still the longest, of
    /// those at work, items one.
    pub(crate) fn look(&self) -> (u64, u64) {
        let now_ms = millis(self.0.started.elapsed());
        let stages = self.0.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = stages.iter().map(|Stage(state)| {
            let last_item_ms = state.last_item_ms.load(Ordering::Relaxed);
            (state.items.load(Ordering::Relaxed), now_ms.saturating_sub(last_item_ms))
        });
        seen.fold((0, 0), |(items, still_ms), (more, own_ms)| {
            (items + more, still_ms.max(own_ms))
        })
    }
}

impl Stage {
    /// Counts a packet or a frame; the stage is at work.
    pub(crate) fn count_item(&self) {
        self.0.items.fetch_add(1, Ordering::Relaxed);
        self.set_active();
    }

    /// Notes that the stage is at work from now on.
    pub(crate) fn set_active(&self) {
        self.0.last_item_ms.store(millis(self.0.started.elapsed()), Ordering::Relaxed);
    }

    /// Notes that the stage waits for another one, or is done.
    pub(crate) fn set_idle(&self) {
        self.0.last_item_ms.store(IDLE, Ordering::Relaxed);
    }

    /// Gives the stage time to rewrite a file of so many bytes, which FFmpeg does in one call.
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
    fn a_stage_that_hangs_is_seen_although_others_move_wait_or_are_done() {
        let stages = Stages::new();
        let (hung, moving, waiting) = (stages.add_stage(), stages.add_stage(), stages.add_stage());
        hung.set_active();
        moving.set_active();
        waiting.set_active();
        waiting.set_idle();
        let until = Instant::now() + Duration::from_millis(30);
        while Instant::now() < until {
            moving.count_item();
        }
        let (items, still_ms) = stages.look();
        assert!(items > 0 && still_ms >= 25, "{items}, {still_ms} ms");
        hung.set_idle();
        moving.set_idle();
        assert_eq!(stages.look().1, 0, "a stage that waits does not hang");
    }

    #[test]
    fn a_file_that_is_rewritten_gets_time_by_its_size() {
        let stages = Stages::new();
        let stage = stages.add_stage();
        stage.allow_rewrite(100 * REWRITE_BYTES_PER_S);
        assert_eq!(stages.look().1, 0);
    }
}
