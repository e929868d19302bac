//! How often sign-up and login may be tried: by address (a bucket that refills) and by account (waits that double).
//! In the memory of this process; nobody is locked out for good.

use crate::config::Throttle;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Above this many entries the old ones are looked for.
const ENTRIES_MAX: usize = 50_000;

/// Counts tries.
pub(crate) struct Gate {
    rules: Throttle,
    addresses: Mutex<HashMap<IpAddr, Bucket>>,
    /// By a keyed hash of the name, which may be as long as a body.
    accounts: Mutex<HashMap<u64, Strikes>>,
    hash: RandomState,
}

/// When the bucket of an address will be full again: one number says it all (GCRA).
struct Bucket {
    full_at: Instant,
}

struct Strikes {
    failures: u32,
    closed_until: Instant,
}

impl Gate {
    pub(crate) fn new(rules: Throttle) -> Self {
        Self {
            rules,
            addresses: Mutex::default(),
            accounts: Mutex::default(),
            hash: RandomState::new(),
        }
    }

    /// Takes one try of an address, or says how long it has to wait.
    pub(crate) fn pass_address(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut addresses = lock(&self.addresses);
        shrink(&mut addresses, |bucket| bucket.full_at > now);
        let refill = self.rules.address_refill;
        let bucket = addresses
            .entry(neighborhood(address))
            .or_insert(Bucket { full_at: now });
        let full_at = bucket.full_at.max(now) + refill;
        let over = full_at.saturating_duration_since(now + refill * self.rules.address_burst);
        if !over.is_zero() {
            return Err(over);
        }
        bucket.full_at = full_at;
        Ok(())
    }

    /// Takes one try of an account, or says how long it has to wait; the same for one that does not exist. A try counts as
    /// failed until it [`succeeded`](Self::succeeded): of many at the same moment no more pass than one after the other.
    pub(crate) fn pass_account(&self, username: &str, now: Instant) -> Result<(), Duration> {
        let mut accounts = lock(&self.accounts);
        let forgotten = self.rules.account_wait_max * 10;
        shrink(&mut accounts, |strikes| strikes.closed_until + forgotten > now);
        let strikes = accounts.entry(self.hash.hash_one(username)).or_insert(Strikes {
            failures: 0,
            closed_until: now,
        });
        let wait = strikes.closed_until.saturating_duration_since(now);
        if !wait.is_zero() {
            return Err(wait);
        }
        strikes.failures = strikes.failures.saturating_add(1);
        let over = strikes.failures.saturating_sub(self.rules.account_failures);
        let wait = match over {
            0 => Duration::ZERO,
            over => self
                .rules
                .account_wait
                .saturating_mul(1 << (over - 1).min(20))
                .min(self.rules.account_wait_max),
        };
        strikes.closed_until = now + wait;
        Ok(())
    }

    /// Gives a try back that was not made.
    pub(crate) fn take_back(&self, username: &str, now: Instant) {
        if let Some(strikes) = lock(&self.accounts).get_mut(&self.hash.hash_one(username)) {
            strikes.failures = strikes.failures.saturating_sub(1);
            strikes.closed_until = now;
        }
    }

    /// Notes a right password.
    pub(crate) fn succeeded(&self, username: &str) {
        lock(&self.accounts).remove(&self.hash.hash_one(username));
    }
}

/// The address, or the network of an IPv6 one: a subscriber has all of a /64.
fn neighborhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

/// Nothing under these locks can leave a map half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets what no longer counts; and all of it when that is not enough, rather than grow without end.
fn shrink<K: Hash + Eq, V>(map: &mut HashMap<K, V>, counts: impl Fn(&V) -> bool) {
    if map.len() >= ENTRIES_MAX {
        map.retain(|_, value| counts(value));
        if map.len() >= ENTRIES_MAX {
            map.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate::new(Throttle {
            address_burst: 3,
            address_refill: Duration::from_secs(1),
            account_failures: 2,
            account_wait: Duration::from_secs(1),
            account_wait_max: Duration::from_secs(4),
        })
    }

    #[test]
    fn an_address_that_spent_its_burst_earns_one_try_at_a_time() {
        let (gate, now) = (gate(), Instant::now());
        let address = "203.0.113.9".parse().unwrap();
        let pass = |after| gate.pass_address(address, now + Duration::from_millis(after));
        assert!((0..3).all(|_| pass(0).is_ok()));
        assert_eq!(pass(0), Err(Duration::from_secs(1)));
        assert_eq!(pass(400), Err(Duration::from_millis(600)));
        assert_eq!(pass(1_000), Ok(()));
        assert!(pass(1_000).is_err());
        assert!(
            gate.pass_address("203.0.113.10".parse().unwrap(), now).is_ok(),
            "a neighbor is not punished"
        );
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let (gate, now) = (gate(), Instant::now());
        for host in 1..=3 {
            let address = format!("2001:db8::{host}").parse().unwrap();
            assert!(gate.pass_address(address, now).is_ok());
        }
        assert!(gate.pass_address("2001:db8::4".parse().unwrap(), now).is_err());
        assert!(gate.pass_address("2001:db8:0:1::4".parse().unwrap(), now).is_ok());
    }

    #[test]
    fn waits_of_an_account_double_up_to_a_limit_and_end_with_the_right_password() {
        let (gate, mut now) = (gate(), Instant::now());
        // Two are free; from the third on, each that passes closes the door.
        assert!((0..3).all(|_| gate.pass_account("ana", now).is_ok()));
        let mut waits = Vec::new();
        for _ in 0..4 {
            let wait = gate.pass_account("ana", now).unwrap_err();
            waits.push(wait.as_secs());
            now += wait;
            assert!(gate.pass_account("ana", now).is_ok());
        }
        assert_eq!(waits, [1, 2, 4, 4]);
        assert!(gate.pass_account("ana", now).is_err(), "of many at once one passes");
        gate.take_back("ana", now);
        assert!(
            gate.pass_account("ana", now).is_ok(),
            "a try that was not made is no try"
        );
        assert!(gate.pass_account("bea", now).is_ok());
        gate.succeeded("ana");
        assert!(gate.pass_account("ana", now).is_ok());
    }
}
