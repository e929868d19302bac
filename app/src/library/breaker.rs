//! The circuit breaker of the database.
//!
//! *Problem.* While the database is away, each request would wait for a connection until its time is over.
//!
//! *Mechanism.* The follower of the library reads the database all the time. Three failures in a row open the breaker,
//! or two reads in a row without an answer within [`PROBE_TIMEOUT`]: a single one may be a stall of this machine. Then
//! the follower tries once a second, and two answers in a row close the breaker. Requests only look at the state.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// Time within which the database must answer a probe. After a silent one there is no pause, so the breaker opens about
/// two seconds after the last answer.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_millis(900);

/// Pause between two probes while the breaker is closed.
const PAUSE: Duration = Duration::from_millis(250);
/// Pause after a probe that failed while the breaker is closed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);
/// Pause between two probes while it is open.
const PAUSE_OPEN: Duration = Duration::from_secs(1);

/// Failures in a row that open the breaker, and silent probes among them that do so alone.
const FAILURES: u32 = 3;
const SILENCES: u32 = 2;
/// Answers in a row that close it.
const ANSWERS: u32 = 2;

/// The result of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// The database answered.
    Answered,
    /// It refused, or the connection broke.
    Failed,
    /// It did not answer in time.
    Silent,
}

/// The state of the breaker. Only the follower changes it.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    is_open: AtomicBool,
    /// Results in a row that speak against the present state.
    in_a_row: AtomicU32,
}

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// The pause until the next probe.
    pub(super) fn pause(&self) -> Duration {
        match (self.is_open(), self.in_a_row.load(Ordering::Relaxed)) {
            (true, _) => PAUSE_OPEN,
            (false, 0) => PAUSE,
            // An outage is to be noticed soon.
            (false, _) => PAUSE_AFTER_FAILURE,
        }
    }

    /// Records a probe.
    pub(super) fn record(&self, probe: Probe) {
        let was_open = self.is_open();
        let is_against = was_open == (probe == Probe::Answered);
        let in_a_row = if is_against {
            self.in_a_row.load(Ordering::Relaxed) + 1
        } else {
            0
        };
        let changes = match (was_open, probe) {
            (false, Probe::Silent) => in_a_row >= SILENCES,
            (false, _) => in_a_row >= FAILURES,
            (true, _) => in_a_row >= ANSWERS,
        };
        self.in_a_row
            .store(if changes { 0 } else { in_a_row }, Ordering::Relaxed);
        let is_open = was_open != changes;
        self.is_open.store(is_open, Ordering::Relaxed);
        match (was_open, is_open) {
            (false, true) => tracing::error!("the database is away; the library answers from its catalog"),
            (true, false) => tracing::info!("the database answers again"),
            _ => {}
        }
        metrics::gauge!("rushes_database_breaker_open").set(f64::from(u8::from(is_open)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Probe::{Answered, Failed, Silent};

    fn states(probes: &[Probe]) -> Vec<bool> {
        let breaker = Breaker::default();
        let state = |probe: &Probe| {
            breaker.record(*probe);
            breaker.is_open()
        };
        probes.iter().map(state).collect()
    }

    #[test]
    fn three_failures_or_two_silences_in_a_row_open_it_and_two_answers_close_it() {
        assert_eq!(states(&[Failed, Failed, Answered, Failed, Failed]), [false; 5]);
        assert_eq!(states(&[Silent, Answered, Silent, Answered]), [false; 4]);
        assert_eq!(states(&[Failed, Failed, Failed]), [false, false, true]);
        assert_eq!(states(&[Answered, Silent, Silent]), [false, false, true]);
        assert_eq!(
            states(&[Silent, Silent, Answered, Failed, Answered, Answered, Failed]),
            [false, true, true, true, true, false, false]
        );
    }

    #[test]
    fn probes_are_rarer_while_it_is_open() {
        let breaker = Breaker::default();
        for (probe, pause) in [
            (Answered, PAUSE),
            (Silent, PAUSE_AFTER_FAILURE),
            (Silent, PAUSE_OPEN),
            (Answered, PAUSE_OPEN),
            (Answered, PAUSE),
        ] {
            breaker.record(probe);
            assert_eq!(breaker.pause(), pause);
        }
    }
}
