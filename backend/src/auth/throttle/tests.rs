//! The rules of the gate, with a clock of their own.

use super::*;

fn gate() -> Gate {
    Gate::new(Throttle {
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

/// Logs in with the right password.
fn right(gate: &Gate, username: &str, address: &str, now: Instant) -> Result<(), Duration> {
    let attempt = gate.login(username, ip(address), now)?;
    gate.succeeded(&attempt, now);
    Ok(())
}

/// Tries wrong passwords one after the other; how many were checked.
fn wrong(gate: &Gate, username: &str, address: &str, attempts: usize, now: Instant) -> usize {
    let passed = (0..attempts).filter(|_| gate.login(username, ip(address), now).is_ok());
    passed.count()
}

#[test]
fn a_network_that_spent_its_burst_earns_one_attempt_at_a_time_whatever_the_account() {
    let (gate, now) = (gate(), Instant::now());
    let login = |n: u32, ms| gate.login(&format!("user{n}"), ip("203.0.113.9"), now + Duration::from_millis(ms));
    assert!((0..20).all(|n| login(n, 0).is_ok()));
    assert_eq!(login(20, 0).unwrap_err(), Duration::from_secs(1));
    assert_eq!(login(20, 400).unwrap_err(), Duration::from_millis(600));
    assert!(login(20, 1_000).is_ok());
    assert!(login(21, 1_000).is_err());
    assert!(
        right(&gate, "user21", "203.0.113.10", now).is_ok(),
        "a neighbor is not held up"
    );
}

#[test]
fn sign_ups_of_a_network_have_an_allowance_of_their_own() {
    let (gate, now) = (gate(), Instant::now());
    assert!((0..20).all(|_| gate.sign_up(ip("203.0.113.9"), now).is_ok()));
    assert_eq!(gate.sign_up(ip("203.0.113.9"), now), Err(Duration::from_secs(1)));
    assert!(gate.sign_up(ip("203.0.113.10"), now).is_ok());
    assert!(
        right(&gate, "ana", "203.0.113.9", now).is_ok(),
        "logins are not held up by sign-ups"
    );
}

#[test]
fn a_subscriber_of_ipv6_counts_as_one_network() {
    let (gate, now) = (gate(), Instant::now());
    let checked: usize = (1..=9)
        .map(|host| wrong(&gate, "ana", &format!("2001:db8::{host}"), 1, now))
        .sum();
    assert_eq!(checked, 3, "two are free, the third closes the door");
    assert_eq!(wrong(&gate, "ana", "2001:db8:0:1::1", 9, now), 3);
    assert_eq!(wrong(&gate, "ana", "::ffff:203.0.113.9", 9, now), 2, "of the account");
    assert_eq!(
        wrong(&gate, "bea", "203.0.113.9", 9, now),
        3,
        "mapped or not, it is the same network"
    );
    assert_eq!(wrong(&gate, "bea", "::ffff:203.0.113.9", 9, now), 0);
}

#[test]
fn waits_double_up_to_a_limit_and_end_with_the_right_password() {
    let (gate, mut now) = (gate(), Instant::now());
    assert_eq!(wrong(&gate, "ana", "203.0.113.9", 3, now), 3);
    let mut waits = Vec::new();
    for _ in 0..5 {
        let wait = gate.login("ana", ip("203.0.113.9"), now).unwrap_err();
        waits.push(wait.as_secs());
        now += wait;
        gate.login("ana", ip("203.0.113.9"), now).unwrap();
    }
    assert_eq!(waits, [1, 2, 4, 8, 8]);
    now += Duration::from_secs(8);
    let attempt = gate.login("ana", ip("203.0.113.9"), now).unwrap();
    assert!(
        gate.login("ana", ip("203.0.113.9"), now).is_err(),
        "of many at once one passes"
    );
    gate.take_back(&attempt, now);
    assert!(
        right(&gate, "ana", "203.0.113.9", now).is_ok(),
        "an attempt that was not made is none"
    );
    assert_eq!(wrong(&gate, "ana", "203.0.113.9", 9, now), 3, "it begins anew");
}

#[test]
fn one_network_that_guesses_does_not_keep_an_owner_out_of_any_other() {
    let (gate, begin) = (gate(), Instant::now());
    for second in 0..600 {
        let now = begin + Duration::from_secs(second);
        wrong(&gate, "ana", "203.0.113.9", 4, now);
        let owner = format!("198.51.100.{}", second % 250);
        assert_eq!(
            right(&gate, "ana", &owner, now),
            Ok(()),
            "from a network never seen before, after {second} s"
        );
    }
}

#[test]
fn guesses_from_many_networks_are_slowed_and_the_owner_comes_in_from_a_known_one() {
    let (gate, begin) = (gate(), Instant::now());
    assert!(right(&gate, "ana", "198.51.100.7", begin).is_ok());
    let mut checked = 0;
    for second in 0..600_u64 {
        let now = begin + Duration::from_secs(second);
        for host in 0..10 {
            checked += wrong(
                &gate,
                "ana",
                &format!("10.{}.{}.{host}", second / 250, second % 250),
                1,
                now,
            );
        }
        assert_eq!(right(&gate, "ana", "198.51.100.7", now), Ok(()), "after {second} s");
    }
    assert!(
        (120..=128).contains(&checked),
        "eight and one more each 5 s, of 6,000: {checked}"
    );
    assert!(right(&gate, "ana", "198.51.100.8", begin + Duration::from_secs(599)).is_err());
}

#[test]
fn the_network_of_a_sign_up_is_known_and_one_not_seen_for_long_is_not() {
    let (gate, begin) = (gate(), Instant::now());
    gate.signed_up("ana", ip("198.51.100.7"), begin);
    let attack = |now| (0..30).for_each(|host| _ = wrong(&gate, "ana", &format!("10.0.0.{host}"), 1, now));
    attack(begin);
    assert!(right(&gate, "ana", "198.51.100.7", begin).is_ok());
    let later = begin + Duration::from_secs(3_601);
    attack(later);
    assert!(right(&gate, "ana", "198.51.100.7", later).is_err());
}

#[test]
fn an_owner_behind_the_same_address_as_a_guesser_has_a_reserve() {
    let (gate, now) = (gate(), Instant::now());
    assert!(right(&gate, "ana", "203.0.113.9", now).is_ok());
    let checked: usize = (0..30)
        .map(|n| wrong(&gate, &format!("user{n}"), "203.0.113.9", 1, now))
        .sum();
    assert_eq!(checked, 19, "the allowance of the network is used up");
    assert!(right(&gate, "ana", "203.0.113.9", now).is_ok());
    assert!(right(&gate, "ana", "203.0.113.9", now).is_ok());
    assert!(
        right(&gate, "ana", "203.0.113.9", now).is_err(),
        "the reserve is bounded"
    );
}

#[test]
fn a_known_network_is_slowed_as_well_when_it_guesses() {
    let (gate, now) = (gate(), Instant::now());
    assert!(right(&gate, "ana", "203.0.113.9", now).is_ok());
    assert_eq!(wrong(&gate, "ana", "203.0.113.9", 10, now), 3);
}

#[test]
fn a_flood_of_other_names_and_networks_makes_the_gate_forget_neither_guessers_nor_owners() {
    let (gate, now) = (gate(), Instant::now());
    *gate.lock() = Tables::new(100);
    assert!(right(&gate, "ana", "198.51.100.7", now).is_ok());
    for host in 0..9 {
        wrong(&gate, "ana", &format!("10.0.0.{host}"), 4, now);
    }
    for n in 0..10_000 {
        wrong(
            &gate,
            &format!("user{n}"),
            &format!("10.1.{}.{}", n / 250, n % 250),
            1,
            now,
        );
    }
    assert_eq!(wrong(&gate, "ana", "10.0.0.0", 1, now), 0, "it still waits");
    assert_eq!(
        wrong(&gate, "ana", "10.0.0.99", 1, now),
        0,
        "the account is still slowed"
    );
    assert!(right(&gate, "ana", "198.51.100.7", now).is_ok(), "and known");
}
