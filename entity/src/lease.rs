//! Leases: the right to work on a row for a limited time. Tasks, uploads, idempotency keys, deliveries and watched
//! files have one.
//!
//! *Problem.* A process that works on a row may die, freeze or lose its network. The row must not stay taken forever,
//! and two processes must not both finish the work.
//!
//! *Mechanism.* A column of the row holds the end of the lease, in milliseconds on the clock of the database. The owner
//! takes the lease for [`LEASE`] and renews it while it works ([`Renewal`]). When the lease has ended, another process
//! may take the row.
//!
//! *Invariants.* The end of a lease alone stops no writer: a frozen process does not notice it. So each write of an
//! owner also has a condition that names the owner (a *fencing token*: the attempt of a task, the holder of a key), and
//! matches no row after another process has taken it. No transaction and no lock of the database is held while the work
//! lasts.
//!
//! *Rejected.* The clocks of the processes: they differ. A lock of a connection: it ends with the connection, and a
//! pool is too small for hours of work.

use crate::with_timeout;
use sea_orm::sea_query::SimpleExpr;
use sea_orm::{ConnectionTrait, DbErr};
use std::time::{Duration, Instant};

/// Time until a lease ends if it is not renewed.
pub const LEASE: Duration = Duration::from_secs(30);

/// Timeout of a renewal; short enough that several failed ones fit into one lease.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// The end of a lease that begins now.
pub(crate) fn end(db: &impl ConnectionTrait) -> SimpleExpr {
    crate::in_ms(db, crate::millis(LEASE))
}

/// The renewals of one lease.
#[derive(Debug)]
pub struct Renewal {
    /// The lease did not begin before this moment.
    renewed_at: Instant,
}

impl Renewal {
    /// Begins with a lease that was just taken.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            renewed_at: Instant::now(),
        }
    }

    /// Renews the lease with a query that tells if the row was still owned.
    pub async fn renew(&mut self, query: impl Future<Output = Result<bool, DbErr>>) -> LeaseState {
        // The lease begins when the database runs the query, which is not before this moment.
        let started = Instant::now();
        match with_timeout(QUERY_TIMEOUT, query).await {
            Ok(true) => self.renewed_at = started,
            Ok(false) => return LeaseState::Lost,
            Err(error) => {
                tracing::warn!(%error, "failed to renew a lease");
                let has_ended = self.renewed_at.elapsed() > LEASE;
                return if has_ended {
                    LeaseState::Ended
                } else {
                    LeaseState::Unconfirmed
                };
            }
        }
        LeaseState::Held
    }
}

/// The state of a lease after an attempt to renew it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// It was renewed.
    Held,
    /// The database did not confirm the renewal, and the lease has not ended.
    Unconfirmed,
    /// It has ended while the database was away. The row is still owned if no other process has taken it since.
    Ended,
    /// Another process has the row.
    Lost,
}
