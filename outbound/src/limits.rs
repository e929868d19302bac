//! Limits of time and size of a request.

use crate::error::{Error, Phase};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Limits of a request. The client limits the time of a connection by itself.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time from the start of a request until the headers of its reply are complete; anew after each redirect.
    pub first_byte: Duration,
    /// Time between two pieces of the body.
    pub stall: Duration,
    /// Time of the whole request with all redirects and the body.
    pub whole: Duration,
    /// Size of the whole file in bytes, also if only the rest of it is asked for. The size of the body for a POST.
    pub max_bytes: u64,
}

/// The limits of a request that has begun.
pub(crate) struct Timer {
    limits: Limits,
    end: Instant,
}

impl Timer {
    pub(crate) fn start(limits: Limits) -> Self {
        Self {
            limits,
            end: Instant::now() + limits.whole,
        }
    }

    pub(crate) fn max_bytes(&self) -> u64 {
        self.limits.max_bytes
    }

    pub(crate) async fn first_byte<T>(&self, reply: impl Future<Output = T>) -> Result<T, Error> {
        self.within(self.limits.first_byte, Phase::FirstByte, reply).await
    }

    pub(crate) async fn piece<T>(&self, piece: impl Future<Output = T>) -> Result<T, Error> {
        self.within(self.limits.stall, Phase::Stall, piece).await
    }

    async fn within<T>(&self, span: Duration, phase: Phase, future: impl Future<Output = T>) -> Result<T, Error> {
        let until = Instant::now() + span;
        let (until, phase) = if until < self.end {
            (until, phase)
        } else {
            (self.end, Phase::Whole)
        };
        // The end of the whole request applies to a body that never pauses too, which a timeout alone would not notice.
        if Instant::now() >= self.end {
            return Err(Error::Timeout(Phase::Whole));
        }
        timeout_at(until, future).await.map_err(|_| Error::Timeout(phase))
    }
}
