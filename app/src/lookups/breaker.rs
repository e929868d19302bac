//! The circuit breaker of a remote service.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Failures in a row within [`WINDOW`] that open the breaker.
const FAILURES: usize = 20;
const WINDOW: Duration = Duration::from_secs(30);
/// Time for which it is open before one call tries the service.
const OPEN: Duration = Duration::from_secs(30);
/// Maximum time for which a service can ask not to be called.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// The circuit breaker. It counts failures in a row: a service that answers most calls is used further.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The times of the failures since the last answer.
    failures: VecDeque<Instant>,
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
        state.failures.clear();
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
        state.failures.push_back(now);
        while state.failures.front().is_some_and(|time| *time + WINDOW < now) {
            state.failures.pop_front();
        }
        if state.failures.len() >= FAILURES && state.open_until.is_none() {
            state.open_until = Some(now + OPEN);
            tracing::warn!("the lookup service does not answer; one call tries it every 30 s");
        }
    }
}

impl State {
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
    async fn failures_that_are_far_apart_do_not_open_it() {
        let breaker = Breaker::default();
        for _ in 0..60 {
            breaker.fail(None);
            advance(Duration::from_secs(2)).await;
        }
        assert_eq!(breaker.admit(), Ok(()));
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
