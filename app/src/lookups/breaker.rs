//! The circuit breaker of a remote service.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Failures in a row that open the breaker.
const FAILURES: u32 = 20;
/// Time for which it is open before one call tries the service.
const OPEN: Duration = Duration::from_secs(30);
/// Maximum time for which a service can ask not to be called.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// The circuit breaker. It counts failures in a row: a service that answers most calls is used further.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Failures since the last answer.
    failures: u32,
    /// The time of the last answer.
    answered_at: Option<Instant>,
    /// The end of the time in which the breaker is open.
    open_until: Option<Instant>,
    /// The time before which the service does not want to be called.
    not_before: Option<Instant>,
}

impl Breaker {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent after each statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time until a call may begin.
    pub(super) fn wait(&self) -> Duration {
        self.state().wait()
    }

    /// Lets a call begin. While the breaker is open, one call may begin every [`OPEN`].
    ///
    /// # Errors
    /// The time to wait.
    pub(super) fn admit(&self) -> Result<(), Duration> {
        let mut state = self.state();
        let wait = state.wait();
        if !wait.is_zero() {
            return Err(wait);
        }
        if state.open_until.is_some() {
            state.open_until = Some(Instant::now() + OPEN);
        }
        Ok(())
    }

    /// Records an answer.
    pub(super) fn succeed(&self) {
        let mut state = self.state();
        state.failures = 0;
        state.answered_at = Some(Instant::now());
        if state.open_until.take().is_some() {
            tracing::info!("the lookup service answers again");
        }
    }

    /// Records a failure, and the time after which the service wants to be called again.
    pub(super) fn fail(&self, retry_after: Option<Duration>) {
        let mut state = self.state();
        let now = Instant::now();
        if let Some(retry_after) = retry_after {
            let not_before = now + retry_after.min(MAX_RETRY_AFTER);
            state.not_before = state.not_before.max(Some(not_before));
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            state.open();
        }
    }

    /// Returns `true` if a call was answered since a time.
    pub(super) fn has_answered_since(&self, time: Instant) -> bool {
        self.state().answered_at.is_some_and(|answered_at| answered_at >= time)
    }

    /// Opens the breaker, unless it is open.
    pub(super) fn open(&self) {
        self.state().open();
    }
}

impl State {
    fn open(&mut self) {
        if self.open_until.is_none() {
            self.open_until = Some(Instant::now() + OPEN);
            tracing::warn!("the lookup service does not answer; one call tries it every 30 s");
        }
    }

    fn wait(&self) -> Duration {
        let until = self.open_until.max(self.not_before);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn twenty_failures_in_a_row_open_it_and_one_answer_closes_it() {
        let breaker = Breaker::default();
        for _ in 0..19 {
            breaker.fail(None);
        }
        assert_eq!(breaker.admit(), Ok(()));
        breaker.succeed();
        for _ in 0..20 {
            assert_eq!(breaker.admit(), Ok(()));
            breaker.fail(None);
        }
        assert_eq!((breaker.admit(), breaker.wait()), (Err(OPEN), OPEN));
        advance(OPEN).await;
        // One call alone tries the service.
        assert_eq!((breaker.admit(), breaker.admit()), (Ok(()), Err(OPEN)));
        breaker.fail(None);
        advance(OPEN).await;
        assert_eq!((breaker.admit(), breaker.admit()), (Ok(()), Err(OPEN)));
        breaker.succeed();
        assert_eq!((breaker.admit(), breaker.admit()), (Ok(()), Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn slow_failures_open_it_and_answers_are_remembered() {
        let breaker = Breaker::default();
        let begun = Instant::now();
        assert!(!breaker.has_answered_since(begun));
        breaker.succeed();
        assert!(breaker.has_answered_since(begun));
        for _ in 0..20 {
            advance(Duration::from_secs(10)).await;
            assert_eq!(breaker.admit(), Ok(()));
            breaker.fail(None);
        }
        assert_eq!(breaker.admit(), Err(OPEN));
        assert!(!breaker.has_answered_since(begun + Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_service_decides_when_it_is_called_again() {
        let breaker = Breaker::default();
        let seven = Duration::from_secs(7);
        breaker.fail(Some(seven));
        breaker.fail(Some(Duration::from_secs(3)));
        breaker.succeed();
        assert_eq!(breaker.admit(), Err(seven));
        advance(seven).await;
        assert_eq!((breaker.admit(), breaker.admit()), (Ok(()), Ok(())));
        breaker.fail(Some(Duration::from_hours(400)));
        assert_eq!(breaker.wait(), Duration::from_hours(1));
    }
}
