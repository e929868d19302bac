//! Background tasks: the loops that a process needs for as long as it lives, such as the listener, the sweeper and the
//! handler of signals.
//!
//! A panic ends a loop of `tokio::spawn` in silence, and the process goes on accepting requests that it cannot serve.
//! [`Background::keep`] runs such a loop and starts it again after a panic, first at once, then after pauses that double.
//! What happened is logged, counted in `rushes_background_panics_total`, and shown by [`Background::tasks`] in
//! `/api/health`. A task that panics again and again makes the process not ready ([`Background::is_well`]).

use futures::FutureExt;
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The pause after the first panic; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A task that ran for so long without a panic is well again.
const WELL_AFTER: Duration = Duration::from_secs(60);
/// So many panics in a row, each within [`WELL_AFTER`] of the one before, and a task counts as failing.
const FAILING_AFTER: u32 = 3;

/// The background tasks of one process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Background(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    tasks: Mutex<BTreeMap<&'static str, Record>>,
    #[cfg(feature = "inject-panics")]
    injected: Mutex<BTreeMap<&'static str, Arc<tokio::sync::Notify>>>,
}

#[derive(Debug, Default)]
struct Record {
    panics: u64,
    in_a_row: u32,
    last: Option<Instant>,
    is_waiting: bool,
}

/// A background task as `/api/health` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its name, such as `sweeper`.
    pub name: &'static str,
    /// How it is.
    pub state: State,
    /// How often it panicked since the process started.
    pub panics: u64,
}

/// How a background task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It works.
    Running,
    /// It panicked and starts again after a pause.
    Restarting,
    /// It panicked at least three times in a row, the last time within a minute.
    Failing,
}

impl State {
    /// The word of `/api/health`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Failing => "failing",
        }
    }
}

impl Background {
    /// Runs `work` until it returns; after a panic runs it again. To drop this future drops the work.
    pub async fn keep<F, W>(&self, name: &'static str, mut work: F)
    where
        F: FnMut() -> W,
        W: Future<Output = ()>,
    {
        self.lock().entry(name).or_default();
        metrics::counter!("rushes_background_panics_total", "task" => name).increment(0);
        loop {
            let injected = self.injected(name);
            let run = async {
                tokio::select! {
                    () = work() => {}
                    () = injected => panic!("injected by a test"),
                }
            };
            // Nothing that the work shares is left half changed: its locks are those of the standard library and are
            // taken over when poisoned, its rows are written in transactions.
            let Err(panic) = AssertUnwindSafe(run).catch_unwind().await else {
                self.lock().remove(name);
                return;
            };
            let pause = self.lock().entry(name).or_default().panicked();
            metrics::counter!("rushes_background_panics_total", "task" => name).increment(1);
            let (panic, pause_ms) = (message(panic.as_ref()), pause.as_millis());
            tracing::error!(
                task = name,
                panic,
                pause_ms,
                "a background task panicked; it starts again"
            );
            sleep(pause).await;
            self.lock().entry(name).or_default().is_waiting = false;
        }
    }

    /// All tasks that run, in the order of their names.
    #[must_use]
    pub fn tasks(&self) -> Vec<Task> {
        let tasks = self.lock();
        let shown = tasks.iter().map(|(name, record)| Task {
            name,
            state: record.state(),
            panics: record.panics,
        });
        shown.collect()
    }

    /// Whether no task is failing.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.lock().values().all(|record| record.state() != State::Failing)
    }

    /// Has a task panic at the point where it waits.
    #[cfg(feature = "inject-panics")]
    pub fn panic_in(&self, name: &'static str) {
        self.injection(name).notify_one();
    }

    #[cfg(feature = "inject-panics")]
    fn injection(&self, name: &'static str) -> Arc<tokio::sync::Notify> {
        let mut injected = self.0.injected.lock().unwrap_or_else(PoisonError::into_inner);
        injected.entry(name).or_default().clone()
    }

    #[cfg(feature = "inject-panics")]
    fn injected(&self, name: &'static str) -> impl Future<Output = ()> + Send + use<> {
        let injection = self.injection(name);
        async move { injection.notified().await }
    }

    #[cfg(not(feature = "inject-panics"))]
    #[expect(clippy::unused_self, reason = "the same call with and without the feature")]
    fn injected(&self, _: &'static str) -> std::future::Pending<()> {
        std::future::pending()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Record>> {
        self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// Counts a panic; returns the pause before the next start.
    fn panicked(&mut self) -> Duration {
        if self.last.is_none_or(|at| at.elapsed() > WELL_AFTER + LONGEST_PAUSE) {
            self.in_a_row = 0;
        }
        self.panics += 1;
        self.in_a_row += 1;
        self.last = Some(Instant::now());
        self.is_waiting = true;
        let doubled = FIRST_PAUSE.saturating_mul(1 << (self.in_a_row - 1).min(20));
        doubled.min(LONGEST_PAUSE)
    }

    fn state(&self) -> State {
        let is_recent = self.last.is_some_and(|at| at.elapsed() <= WELL_AFTER + LONGEST_PAUSE);
        match (is_recent && self.in_a_row >= FAILING_AFTER, self.is_waiting) {
            (true, _) => State::Failing,
            (false, true) => State::Restarting,
            (false, false) => State::Running,
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn task(state: State, panics: u64) -> Vec<Task> {
        vec![Task {
            name: "loop",
            state,
            panics,
        }]
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_starts_again_until_it_returns() {
        let (background, starts) = (Background::default(), AtomicU32::new(0));
        let work = || async {
            assert!(starts.fetch_add(1, Ordering::SeqCst) >= 5, "not yet");
        };
        background.keep("loop", work).await;
        assert_eq!(starts.load(Ordering::SeqCst), 6);
        assert_eq!(background.tasks(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_again_and_again_is_failing_until_it_ran_for_a_while() {
        let background = Background::default();
        let kept = background.clone();
        let running = tokio::spawn(async move { kept.keep("loop", std::future::pending).await });
        for (panics, state) in [(1, State::Running), (2, State::Running), (3, State::Failing)] {
            background.panic_in("loop");
            // The pause after the panic is over.
            while background.tasks() != task(state, panics) {
                sleep(Duration::from_millis(1)).await;
            }
        }
        assert!(!background.is_well());
        sleep(WELL_AFTER + LONGEST_PAUSE).await;
        assert_eq!(background.tasks(), task(State::Running, 3));
        background.panic_in("loop");
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        assert_eq!(background.tasks(), task(State::Restarting, 4));
        assert!(background.is_well());
        running.abort();
    }

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let mut record = Record::default();
        let pauses: Vec<_> = (0..12).map(|_| record.panicked().as_millis()).collect();
        assert_eq!(pauses[..4], [100, 200, 400, 800]);
        assert_eq!(pauses[11], 30_000);
    }
}
