//! Background tasks: loops that run for the whole life of a process, such as the listener, the sweeper and the signal
//! handler.
//!
//! *Problem.* A panic ends a loop of `tokio::spawn` without notice, and the process continues to accept requests that
//! it cannot serve.
//!
//! *Mechanism.* [`Background::supervise`] runs a loop and restarts it after a panic, with a delay that doubles with
//! each panic in a row. Panics are logged and counted in `rushes_background_panics_total`. `/api/health` shows
//! [`Background::tasks`]. A task that keeps panicking makes the process not ready ([`Background::is_healthy`]).
//!
//! *Rejected.* Ending the process at the first panic: a single bad request or row would stop all other work.

use futures::FutureExt;
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Restart delay after the first panic. It doubles with each further panic in a row.
const MIN_DELAY: Duration = Duration::from_millis(100);
/// Maximum restart delay.
const MAX_DELAY: Duration = Duration::from_secs(30);
/// Time without a panic after which a task counts as healthy again.
const RECOVERY_TIME: Duration = Duration::from_secs(60);
/// Number of panics in a row from which on a task counts as failing. In a row means at most [`RECOVERY_TIME`] plus
/// [`MAX_DELAY`] after the previous one, since the task may have waited for its restart.
const FAILING_PANICS: u32 = 3;

/// The background tasks of one process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Background(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    tasks: Mutex<BTreeMap<&'static str, Record>>,
    #[cfg(feature = "inject-panics")]
    injected: Mutex<BTreeMap<&'static str, Arc<tokio::sync::Notify>>>,
}

/// The history of one task.
#[derive(Debug, Default)]
struct Record {
    panics: u64,
    panics_in_a_row: u32,
    last_panic: Option<Instant>,
    /// The task waits for its restart.
    is_waiting: bool,
}

/// A background task as `/api/health` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The name, such as `sweeper`.
    pub name: &'static str,
    /// The current state.
    pub state: State,
    /// Number of panics since the start of the process.
    pub panics: u64,
}

/// The state of a background task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is running.
    Running,
    /// It has panicked and waits for its restart.
    Restarting,
    /// It has panicked at least three times in a row, most recently within the last one and a half minutes.
    Failing,
}

impl State {
    /// The value in `/api/health`.
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
    /// Runs `work` until it returns, and again after each panic. Dropping the future drops `work`.
    pub async fn supervise<F, W>(&self, name: &'static str, mut work: F)
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
            // `AssertUnwindSafe`: the work shares state with the rest of the process only through rows, which are
            // written in transactions, and through locks, whose poisoning is ignored on purpose.
            let Err(panic) = AssertUnwindSafe(run).catch_unwind().await else {
                self.lock().remove(name);
                return;
            };
            let delay = self.lock().entry(name).or_default().panicked();
            metrics::counter!("rushes_background_panics_total", "task" => name).increment(1);
            let (panic, pause_ms) = (message(panic.as_ref()), delay.as_millis());
            tracing::error!(
                task = name,
                panic,
                pause_ms,
                "a background task panicked and will be restarted"
            );
            sleep(delay).await;
            self.lock().entry(name).or_default().is_waiting = false;
        }
    }

    /// All tasks that have not returned, ordered by name.
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

    /// Returns `true` if no task is failing.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.lock().values().all(|record| record.state() != State::Failing)
    }

    /// Makes a task panic at its next await point.
    #[cfg(feature = "inject-panics")]
    pub fn panic_in(&self, name: &'static str) {
        self.injection(name).notify_one();
    }

    #[cfg(feature = "inject-panics")]
    fn injection(&self, name: &'static str) -> Arc<tokio::sync::Notify> {
        let mut injected = self.0.injected.lock().unwrap_or_else(PoisonError::into_inner);
        injected.entry(name).or_default().clone()
    }

    /// Completes when [`Background::panic_in`] is called for the task.
    #[cfg(feature = "inject-panics")]
    fn injected(&self, name: &'static str) -> impl Future<Output = ()> + Send + use<> {
        let injection = self.injection(name);
        async move { injection.notified().await }
    }

    #[cfg(not(feature = "inject-panics"))]
    #[expect(clippy::unused_self, reason = "same signature with and without the feature")]
    fn injected(&self, _: &'static str) -> std::future::Pending<()> {
        std::future::pending()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Record>> {
        self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// Records a panic and returns the restart delay.
    fn panicked(&mut self) -> Duration {
        if self
            .last_panic
            .is_none_or(|at| at.elapsed() > RECOVERY_TIME + MAX_DELAY)
        {
            self.panics_in_a_row = 0;
        }
        self.panics += 1;
        self.panics_in_a_row += 1;
        self.last_panic = Some(Instant::now());
        self.is_waiting = true;
        let doubled = MIN_DELAY.saturating_mul(1 << (self.panics_in_a_row - 1).min(20));
        doubled.min(MAX_DELAY)
    }

    fn state(&self) -> State {
        let is_recent = self
            .last_panic
            .is_some_and(|at| at.elapsed() <= RECOVERY_TIME + MAX_DELAY);
        match (is_recent && self.panics_in_a_row >= FAILING_PANICS, self.is_waiting) {
            (true, _) => State::Failing,
            (false, true) => State::Restarting,
            (false, false) => State::Running,
        }
    }
}

/// The message of a panic.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic fails the test")]

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
    async fn a_task_is_restarted_after_a_panic_until_it_returns() {
        let (background, starts) = (Background::default(), AtomicU32::new(0));
        let work = || async {
            assert!(starts.fetch_add(1, Ordering::SeqCst) >= 5, "not yet");
        };
        background.supervise("loop", work).await;
        assert_eq!(starts.load(Ordering::SeqCst), 6);
        assert_eq!(background.tasks(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_keeps_panicking_is_failing_until_it_has_run_for_a_while() {
        let background = Background::default();
        let kept = background.clone();
        let running = tokio::spawn(async move { kept.supervise("loop", std::future::pending).await });
        for (panics, state) in [(1, State::Running), (2, State::Running), (3, State::Failing)] {
            background.panic_in("loop");
            // Until the restart delay is over.
            while background.tasks() != task(state, panics) {
                sleep(Duration::from_millis(1)).await;
            }
        }
        assert!(!background.is_healthy());
        sleep(RECOVERY_TIME + MAX_DELAY).await;
        assert_eq!(background.tasks(), task(State::Running, 3));
        background.panic_in("loop");
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        assert_eq!(background.tasks(), task(State::Restarting, 4));
        assert!(background.is_healthy());
        running.abort();
    }

    #[test]
    fn restart_delays_double_up_to_half_a_minute() {
        let mut record = Record::default();
        let delays: Vec<_> = (0..12).map(|_| record.panicked().as_millis()).collect();
        assert_eq!(delays[..4], [100, 200, 400, 800]);
        assert_eq!(delays[11], 30_000);
    }
}
