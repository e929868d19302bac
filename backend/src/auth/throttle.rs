//! How often sign-up and login may be tried.
//!
//! The problem: passwords must not be guessed quickly, by one machine or by many, and guessing must not keep an owner out.
//! So attempts are counted where the guesser can be told from the owner:
//!
//! 1. By *network* (an IPv4 address, a /64 of IPv6): a rate, whatever the account. It bounds one machine that tries many accounts.
//! 2. By *account and network*: after a few wrong passwords in a row, waits that double. It bounds one machine that tries one
//!    account, and concerns that machine alone.
//! 3. By *account*: a rate over all networks that are not known. It bounds many machines that try one account.
//!
//! A network is *known* for an account when the right password came from it lately, at a login or at the sign-up. It is exempt
//! from 3, has a small allowance of its own where 1 is used up by others behind the same address, and its hashes are computed
//! first. It stays under 2.
//!
//! An attempt counts as failed until [`Gate::succeeded`]: of many at the same moment no more pass than one after the other. An
//! account that does not exist is treated as one that does. All of it is in the memory of this process, in tables of bounded size
//! that forget the least important entry first, and every wait ends by itself.

use super::pool::Priority;
use super::table::Table;
use crate::config::{Rate, Throttle};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most entries of each table: some 10 MB in all.
const ENTRIES_MAX: usize = 50_000;
/// How long wrong passwords are remembered after the last wait, in longest waits.
const REMEMBERED_WAITS: u32 = 10;

/// Counts attempts.
pub(crate) struct Gate {
    rules: Throttle,
    tables: Mutex<Tables>,
    hash: RandomState,
}

/// A keyed hash of a user name, which may be as long as a body.
type Account = u64;
/// An IPv4 address, or the first address of a /64.
type Network = IpAddr;
/// When an allowance will be full again (GCRA).
type FullAt = Instant;

struct Tables {
    logins: Table<Network, FullAt>,
    sign_ups: Table<Network, FullAt>,
    strikes: Table<(Account, Network), Strikes>,
    accounts: Table<Account, FullAt>,
    known: Table<(Account, Network), ()>,
    /// Allowance of a known network after its allowance in `logins` is used up.
    reserves: Table<(Account, Network), FullAt>,
}

#[derive(Clone, Copy)]
struct Strikes {
    failures: u32,
    closed_until: Instant,
}

/// A login that may be tried.
#[derive(Debug)]
pub(crate) struct Attempt {
    account: Account,
    network: Network,
    known: bool,
}

impl Attempt {
    /// The queue in which its hash waits.
    pub(crate) const fn priority(&self) -> Priority {
        if self.known { Priority::Known } else { Priority::Other }
    }
}

impl Gate {
    pub(crate) fn new(rules: Throttle) -> Self {
        Self {
            rules,
            tables: Mutex::new(Tables::new(ENTRIES_MAX)),
            hash: RandomState::new(),
        }
    }

    /// Takes one sign-up of a network, or says how long it has to wait.
    pub(crate) fn sign_up(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let (network, rate, mut tables) = (network_of(address), self.rules.network, self.lock());
        let full_at = rate.take(tables.sign_ups.get(network, now), now)?;
        tables.sign_ups.put(network, full_at, full_at, now);
        Ok(())
    }

    /// Takes one login of an account from a network, or says how long it has to wait.
    pub(crate) fn login(&self, username: &str, address: IpAddr, now: Instant) -> Result<Attempt, Duration> {
        let (account, network) = (self.account(username), network_of(address));
        let (rules, mut tables) = (&self.rules, self.lock());
        let pair = (account, network);
        let known = tables.known.get(pair, now).is_some();
        // Everything is asked before anything is taken: an attempt that is refused uses up nothing.
        let strikes = tables.strikes.get(pair, now).copied();
        let wait = strikes.map_or(Duration::ZERO, |strikes| {
            strikes.closed_until.saturating_duration_since(now)
        });
        if !wait.is_zero() {
            return Err(wait);
        }
        let by_network = rules.network.take(tables.logins.get(network, now), now);
        let reserve = match (&by_network, known) {
            (Err(_), true) => Some(rules.reserve.take(tables.reserves.get(pair, now), now)?),
            (Err(wait), false) => return Err(*wait),
            (Ok(_), _) => None,
        };
        if !known {
            let full_at = rules.account.take(tables.accounts.get(account, now), now)?;
            tables.accounts.put(account, full_at, full_at, now);
        }
        if let Ok(full_at) = by_network {
            tables.logins.put(network, full_at, full_at, now);
        }
        if let Some(full_at) = reserve {
            tables.reserves.put(pair, full_at, full_at, now);
        }
        let strikes = rules.strike(strikes.map_or(0, |strikes| strikes.failures), now);
        let until = strikes.closed_until + rules.account_wait_max * REMEMBERED_WAITS;
        tables.strikes.put(pair, strikes, until, now);
        Ok(Attempt {
            account,
            network,
            known,
        })
    }

    /// Gives an attempt back that was not made: the password was not checked, and the client is not to blame.
    pub(crate) fn take_back(&self, attempt: &Attempt, now: Instant) {
        let mut tables = self.lock();
        let pair = (attempt.account, attempt.network);
        if let Some(strikes) = tables.strikes.get(pair, now).copied() {
            let failures = strikes.failures.saturating_sub(1);
            let until = now + self.rules.account_wait_max * REMEMBERED_WAITS;
            let open = Strikes {
                failures,
                closed_until: now,
            };
            tables.strikes.put(pair, open, until, now);
        }
        self.refund(&mut tables, attempt, now);
    }

    /// Notes the right password: the network is known for this account from now on.
    pub(crate) fn succeeded(&self, attempt: &Attempt, now: Instant) {
        let mut tables = self.lock();
        let pair = (attempt.account, attempt.network);
        tables.strikes.remove(pair);
        self.refund(&mut tables, attempt, now);
        tables.known.put(pair, (), now + self.rules.known_for, now);
    }

    /// Notes a new account: the network that chose its password is known for it.
    pub(crate) fn signed_up(&self, username: &str, address: IpAddr, now: Instant) {
        let pair = (self.account(username), network_of(address));
        self.lock().known.put(pair, (), now + self.rules.known_for, now);
    }

    /// Gives back what an attempt took from the allowance of its account.
    fn refund(&self, tables: &mut Tables, attempt: &Attempt, now: Instant) {
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

    /// No code that could panic between two changes runs under this lock.
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn new(capacity: usize) -> Self {
        Self {
            logins: Table::new(capacity),
            sign_ups: Table::new(capacity),
            strikes: Table::new(capacity),
            accounts: Table::new(capacity),
            known: Table::new(capacity),
            reserves: Table::new(capacity),
        }
    }
}

impl Rate {
    /// When the allowance will be full again once one more is taken, or how long one has to wait for it.
    fn take(self, full_at: Option<&FullAt>, now: Instant) -> Result<FullAt, Duration> {
        let full_at = full_at.map_or(now, |full_at| (*full_at).max(now)) + self.refill;
        let over = full_at.saturating_duration_since(now + self.refill * self.burst);
        if over.is_zero() { Ok(full_at) } else { Err(over) }
    }
}

impl Throttle {
    /// One failure more.
    fn strike(&self, failures: u32, now: Instant) -> Strikes {
        let failures = failures.saturating_add(1);
        let wait = match failures.saturating_sub(self.account_failures) {
            0 => Duration::ZERO,
            over => self
                .account_wait
                .saturating_mul(1 << (over - 1).min(20))
                .min(self.account_wait_max),
        };
        Strikes {
            failures,
            closed_until: now + wait,
        }
    }
}

/// The network of an address: of IPv6 the /64, all of which belongs to one subscriber.
fn network_of(address: IpAddr) -> Network {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests;
