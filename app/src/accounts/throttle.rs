//! Rate limits of sign-up and login against password guessing.
//!
//! *Problem.* Passwords must not be guessed quickly, neither from one machine nor from many. But an attacker who
//! guesses must not lock the owner of the account out, so a plain limit per account is not enough.
//!
//! *Mechanism.* Attempts are counted by keys that separate the attacker from the owner:
//!
//! 1. By *network* (an IPv4 address or an IPv6 /64): a rate over all accounts. Limits one machine that tries many
//!    accounts.
//! 2. By *account and network*: after some wrong passwords in a row, waits that double. Limits one machine that tries
//!    one account, and affects that machine alone.
//! 3. By *account*: a rate over all networks that are not known for it. Limits many machines that try one account.
//!
//! A network is *known* for an account when the correct password came from it recently, at a login or at the sign-up.
//! Rule 3 does not apply to it. Where others behind the same address use up rule 1, it has a small reserve. Its hashes
//! are computed first. Rule 2 applies to it.
//!
//! *Invariants.* An attempt counts as failed until [`AttemptLimiter::record_success`], so concurrent attempts pass no
//! more often than successive ones. Accounts that do not exist are counted like those that do, so the limits do not
//! reveal which exist. Every wait ends by itself.
//!
//! The state is in the memory of this process, in maps of bounded size ([`ExpiringMap`]); several API processes count
//! separately.

use super::expiring_map::ExpiringMap;
use super::policy::{Rate, RateLimits};
use super::pool::Priority;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Maximum number of entries of each map; about 10 MB for all of them.
const ENTRIES_MAX: usize = 50_000;
/// Time for which failures are remembered after the last wait, in multiples of the longest wait.
const REMEMBERED_WAITS: u32 = 10;

/// Counts and limits attempts to sign up and to log in.
pub(crate) struct AttemptLimiter {
    rules: RateLimits,
    tables: Mutex<Tables>,
    hash: RandomState,
}

/// A keyed hash of a user name. The name itself may be as long as a request body.
type Account = u64;
/// An IPv4 address, or the first address of an IPv6 /64.
type Network = IpAddr;
/// The time at which an allowance will be full again: the theoretical arrival time of GCRA.
type FullAt = Instant;

struct Tables {
    logins: ExpiringMap<Network, FullAt>,
    sign_ups: ExpiringMap<Network, FullAt>,
    failed_logins: ExpiringMap<(Account, Network), FailedLogins>,
    accounts: ExpiringMap<Account, FullAt>,
    known: ExpiringMap<(Account, Network), ()>,
    /// Reserves of known networks for the time when their allowance in `logins` is used up.
    reserves: ExpiringMap<(Account, Network), FullAt>,
}

/// Consecutive failed logins to an account from a network.
#[derive(Clone, Copy)]
struct FailedLogins {
    failures: u32,
    blocked_until: Instant,
}

/// A login attempt that the limits allow.
#[derive(Debug)]
pub(crate) struct LoginAttempt {
    account: Account,
    network: Network,
    known: bool,
}

impl LoginAttempt {
    /// The queue of its password hash.
    pub(crate) const fn priority(&self) -> Priority {
        if self.known { Priority::Known } else { Priority::Other }
    }
}

impl AttemptLimiter {
    pub(crate) fn new(rules: RateLimits) -> Self {
        Self {
            rules,
            tables: Mutex::new(Tables::new(ENTRIES_MAX)),
            hash: RandomState::new(),
        }
    }

    /// Counts a sign-up from a network.
    ///
    /// # Errors
    /// The time to wait.
    pub(crate) fn sign_up(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let (network, rate, mut tables) = (network_of(address), self.rules.network, self.lock());
        let full_at = rate.charge(tables.sign_ups.get(network, now), now)?;
        tables.sign_ups.put(network, full_at, full_at, now);
        Ok(())
    }

    /// Counts a login to an account from a network.
    ///
    /// # Errors
    /// The time to wait.
    pub(crate) fn login(&self, username: &str, address: IpAddr, now: Instant) -> Result<LoginAttempt, Duration> {
        let (account, network) = (self.account(username), network_of(address));
        let (rules, mut tables) = (&self.rules, self.lock());
        let pair = (account, network);
        let known = tables.known.get(pair, now).is_some();
        // All limits are checked before any is charged, so that a refused attempt costs nothing.
        let failed_logins = tables.failed_logins.get(pair, now).copied();
        let wait = failed_logins.map_or(Duration::ZERO, |failed_logins| {
            failed_logins.blocked_until.saturating_duration_since(now)
        });
        if !wait.is_zero() {
            return Err(wait);
        }
        let by_network = rules.network.charge(tables.logins.get(network, now), now);
        let reserve = match (&by_network, known) {
            (Err(_), true) => Some(rules.reserve.charge(tables.reserves.get(pair, now), now)?),
            (Err(wait), false) => return Err(*wait),
            (Ok(_), _) => None,
        };
        if !known {
            let full_at = rules.account.charge(tables.accounts.get(account, now), now)?;
            tables.accounts.put(account, full_at, full_at, now);
        }
        if let Ok(full_at) = by_network {
            tables.logins.put(network, full_at, full_at, now);
        }
        if let Some(full_at) = reserve {
            tables.reserves.put(pair, full_at, full_at, now);
        }
        let failed_logins = rules.after_failure(failed_logins.map_or(0, |failed_logins| failed_logins.failures), now);
        let until = failed_logins.blocked_until + rules.account_wait_max * REMEMBERED_WAITS;
        tables.failed_logins.put(pair, failed_logins, until, now);
        Ok(LoginAttempt {
            account,
            network,
            known,
        })
    }

    /// Reverts the failure of an attempt whose password could not be checked, because of an error or a full queue.
    pub(crate) fn cancel_attempt(&self, attempt: &LoginAttempt, now: Instant) {
        let mut tables = self.lock();
        let pair = (attempt.account, attempt.network);
        if let Some(failed_logins) = tables.failed_logins.get(pair, now).copied() {
            let failures = failed_logins.failures.saturating_sub(1);
            let until = now + self.rules.account_wait_max * REMEMBERED_WAITS;
            let open = FailedLogins {
                failures,
                blocked_until: now,
            };
            tables.failed_logins.put(pair, open, until, now);
        }
        self.refund(&mut tables, attempt, now);
    }

    /// Records that the password was correct: the network is known for this account from now on.
    pub(crate) fn record_success(&self, attempt: &LoginAttempt, now: Instant) {
        let mut tables = self.lock();
        let pair = (attempt.account, attempt.network);
        tables.failed_logins.remove(pair);
        self.refund(&mut tables, attempt, now);
        tables.known.put(pair, (), now + self.rules.known_for, now);
    }

    /// Records a new account: the network of the sign-up is known for it.
    pub(crate) fn record_sign_up(&self, username: &str, address: IpAddr, now: Instant) {
        let pair = (self.account(username), network_of(address));
        self.lock().known.put(pair, (), now + self.rules.known_for, now);
    }

    /// Returns to the allowance of the account what the attempt was charged.
    fn refund(&self, tables: &mut Tables, attempt: &LoginAttempt, now: Instant) {
        if attempt.known {
            return;
        }
        if let Some(full_at) = tables.accounts.get(attempt.account, now).copied() {
            let full_at = full_at.checked_sub(self.rules.account.refill).unwrap_or(now);
            tables.accounts.put(attempt.account, full_at, full_at, now);
        }
    }

    fn account(&self, username: &str) -> Account {
        self.hash.hash_one(username)
    }

    /// Locks the maps. No code that can panic between two changes runs under this lock.
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn new(capacity: usize) -> Self {
        Self {
            logins: ExpiringMap::new(capacity),
            sign_ups: ExpiringMap::new(capacity),
            failed_logins: ExpiringMap::new(capacity),
            accounts: ExpiringMap::new(capacity),
            known: ExpiringMap::new(capacity),
            reserves: ExpiringMap::new(capacity),
        }
    }
}

impl Rate {
    /// Charges one attempt to an allowance (GCRA). Returns when the allowance will be full again.
    ///
    /// # Errors
    /// The time to wait until one attempt is allowed.
    fn charge(self, full_at: Option<&FullAt>, now: Instant) -> Result<FullAt, Duration> {
        let full_at = full_at.map_or(now, |full_at| (*full_at).max(now)) + self.refill;
        let over = full_at.saturating_duration_since(now + self.refill * self.burst);
        if over.is_zero() { Ok(full_at) } else { Err(over) }
    }
}

impl RateLimits {
    /// The state after one more failure.
    fn after_failure(&self, failures: u32, now: Instant) -> FailedLogins {
        let failures = failures.saturating_add(1);
        let wait = match failures.saturating_sub(self.account_failures) {
            0 => Duration::ZERO,
            over => self
                .account_wait
                .saturating_mul(1 << (over - 1).min(20))
                .min(self.account_wait_max),
        };
        FailedLogins {
            failures,
            blocked_until: now + wait,
        }
    }
}

/// The network of an address. One subscriber usually owns a whole IPv6 /64.
fn network_of(address: IpAddr) -> Network {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests;
