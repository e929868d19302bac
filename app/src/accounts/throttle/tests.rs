//! Tests of the attempt limits with simulated time.

use super::*;

fn limiter() -> AttemptLimiter {
    AttemptLimiter::new(RateLimits {
        network: Rate {
            burst: 20,
            refill: Duration::from_secs(1),
        },
        account: Rate {
            burst: 8,
            refill: Duration::from_secs(5),
        },
        reserve: Rate {
            burst: 2,
            refill: Duration::from_secs(10),
        },
        account_failures: 2,
        account_wait: Duration::from_secs(1),
        account_wait_max: Duration::from_secs(8),
        known_for: Duration::from_secs(3_600),
    })
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Logs in with the correct password.
fn right(limiter: &AttemptLimiter, username: &str, address: &str, now: Instant) -> Result<(), Duration> {
    let attempt = limiter.login(username, ip(address), now)?;
    limiter.record_success(&attempt, now);
    Ok(())
}

/// Tries wrong passwords one after the other; returns how many were checked.
fn wrong(limiter: &AttemptLimiter, username: &str, address: &str, attempts: usize, now: Instant) -> usize {
    let passed = (0..attempts).filter(|_| limiter.login(username, ip(address), now).is_ok());
    passed.count()
}

#[test]
fn a_network_that_used_up_its_burst_gets_one_attempt_at_a_time_for_all_accounts() {
    let (limiter, now) = (limiter(), Instant::now());
    let login = |n: u32, ms| limiter.login(&format!("user{n}"), ip("203.0.113.9"), now + Duration::from_millis(ms));
    assert!((0..20).all(|n| login(n, 0).is_ok()));
    assert_eq!(login(20, 0).unwrap_err(), Duration::from_secs(1));
    assert_eq!(login(20, 400).unwrap_err(), Duration::from_millis(600));
    assert!(login(20, 1_000).is_ok());
    assert!(login(21, 1_000).is_err());
    assert!(
        right(&limiter, "user21", "203.0.113.10", now).is_ok(),
        "a neighbor is not held up"
    );
}

#[test]
fn sign_ups_of_a_network_have_an_allowance_of_their_own() {
    let (limiter, now) = (limiter(), Instant::now());
    assert!((0..20).all(|_| limiter.sign_up(ip("203.0.113.9"), now).is_ok()));
    assert_eq!(limiter.sign_up(ip("203.0.113.9"), now), Err(Duration::from_secs(1)));
    assert!(limiter.sign_up(ip("203.0.113.10"), now).is_ok());
    assert!(
        right(&limiter, "ana", "203.0.113.9", now).is_ok(),
        "logins are not held up by sign-ups"
    );
}

#[test]
fn a_subscriber_of_ipv6_counts_as_one_network() {
    let (limiter, now) = (limiter(), Instant::now());
    let checked: usize = (1..=9)
        .map(|host| wrong(&limiter, "ana", &format!("2001:db8::{host}"), 1, now))
        .sum();
    assert_eq!(checked, 3, "two are free, the third causes a wait");
    assert_eq!(wrong(&limiter, "ana", "2001:db8:0:1::1", 9, now), 3);
    assert_eq!(
        wrong(&limiter, "ana", "::ffff:203.0.113.9", 9, now),
        2,
        "of the account"
    );
    assert_eq!(
        wrong(&limiter, "bea", "203.0.113.9", 9, now),
        3,
        "mapped or not, it is the same network"
    );
    assert_eq!(wrong(&limiter, "bea", "::ffff:203.0.113.9", 9, now), 0);
}

#[test]
fn waits_double_up_to_a_limit_and_end_with_the_right_password() {
    let (limiter, mut now) = (limiter(), Instant::now());
    assert_eq!(wrong(&limiter, "ana", "203.0.113.9", 3, now), 3);
    let mut waits = Vec::new();
    for _ in 0..5 {
        let wait = limiter.login("ana", ip("203.0.113.9"), now).unwrap_err();
        waits.push(wait.as_secs());
        now += wait;
        limiter.login("ana", ip("203.0.113.9"), now).unwrap();
    }
    assert_eq!(waits, [1, 2, 4, 8, 8]);
    now += Duration::from_secs(8);
    let attempt = limiter.login("ana", ip("203.0.113.9"), now).unwrap();
    assert!(
        limiter.login("ana", ip("203.0.113.9"), now).is_err(),
        "of many at once one passes"
    );
    limiter.cancel_attempt(&attempt, now);
    assert!(
        right(&limiter, "ana", "203.0.113.9", now).is_ok(),
        "a canceled attempt does not count"
    );
    assert_eq!(wrong(&limiter, "ana", "203.0.113.9", 9, now), 3, "it begins anew");
}

#[test]
fn one_network_that_guesses_does_not_lock_the_owner_out_of_other_networks() {
    let (limiter, begin) = (limiter(), Instant::now());
    for second in 0..600 {
        let now = begin + Duration::from_secs(second);
        wrong(&limiter, "ana", "203.0.113.9", 4, now);
        let owner = format!("198.51.100.{}", second % 250);
        assert_eq!(
            right(&limiter, "ana", &owner, now),
            Ok(()),
            "from a network never seen before, after {second} s"
        );
    }
}

#[test]
fn guesses_from_many_networks_are_slowed_and_the_owner_logs_in_from_a_known_one() {
    let (limiter, begin) = (limiter(), Instant::now());
    assert!(right(&limiter, "ana", "198.51.100.7", begin).is_ok());
    let mut checked = 0;
    for second in 0..600_u64 {
        let now = begin + Duration::from_secs(second);
        for host in 0..10 {
            checked += wrong(
                &limiter,
                "ana",
                &format!("10.{}.{}.{host}", second / 250, second % 250),
                1,
                now,
            );
        }
        assert_eq!(right(&limiter, "ana", "198.51.100.7", now), Ok(()), "after {second} s");
    }
    assert!(
        (120..=128).contains(&checked),
        "eight and one more each 5 s, of 6,000: {checked}"
    );
    assert!(right(&limiter, "ana", "198.51.100.8", begin + Duration::from_secs(599)).is_err());
}

#[test]
fn the_network_of_a_sign_up_is_known_and_one_not_seen_for_long_is_not() {
    let (limiter, begin) = (limiter(), Instant::now());
    limiter.record_sign_up("ana", ip("198.51.100.7"), begin);
    let attack = |now| (0..30).for_each(|host| _ = wrong(&limiter, "ana", &format!("10.0.0.{host}"), 1, now));
    attack(begin);
    assert!(right(&limiter, "ana", "198.51.100.7", begin).is_ok());
    let later = begin + Duration::from_secs(3_601);
    attack(later);
    assert!(right(&limiter, "ana", "198.51.100.7", later).is_err());
}

#[test]
fn an_owner_behind_the_same_address_as_a_guesser_has_a_reserve() {
    let (limiter, now) = (limiter(), Instant::now());
    assert!(right(&limiter, "ana", "203.0.113.9", now).is_ok());
    let checked: usize = (0..30)
        .map(|n| wrong(&limiter, &format!("user{n}"), "203.0.113.9", 1, now))
        .sum();
    assert_eq!(checked, 19, "the allowance of the network is used up");
    assert!(right(&limiter, "ana", "203.0.113.9", now).is_ok());
    assert!(right(&limiter, "ana", "203.0.113.9", now).is_ok());
    assert!(
        right(&limiter, "ana", "203.0.113.9", now).is_err(),
        "the reserve is bounded"
    );
}

#[test]
fn a_known_network_is_slowed_as_well_when_it_guesses() {
    let (limiter, now) = (limiter(), Instant::now());
    assert!(right(&limiter, "ana", "203.0.113.9", now).is_ok());
    assert_eq!(wrong(&limiter, "ana", "203.0.113.9", 10, now), 3);
}

#[test]
fn a_flood_of_other_names_and_networks_evicts_neither_attackers_nor_owners() {
    let (limiter, now) = (limiter(), Instant::now());
    *limiter.lock() = Tables::new(100);
    assert!(right(&limiter, "ana", "198.51.100.7", now).is_ok());
    for host in 0..9 {
        wrong(&limiter, "ana", &format!("10.0.0.{host}"), 4, now);
    }
    for n in 0..10_000 {
        wrong(
            &limiter,
            &format!("user{n}"),
            &format!("10.1.{}.{}", n / 250, n % 250),
            1,
            now,
        );
    }
    assert_eq!(wrong(&limiter, "ana", "10.0.0.0", 1, now), 0, "it still waits");
    assert_eq!(
        wrong(&limiter, "ana", "10.0.0.99", 1, now),
        0,
        "the account is still slowed"
    );
    assert!(right(&limiter, "ana", "198.51.100.7", now).is_ok(), "and known");
}
