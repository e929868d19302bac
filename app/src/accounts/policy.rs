//! Rules for passwords, and rate limits.

use std::time::Duration;

/// Rules for new passwords besides their length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PasswordPolicy {
    /// No further rule.
    #[default]
    Basic,
    /// Refuses common passwords.
    Strict,
}

/// Rate limits of sign-up and login; `throttle.rs` explains the design. Every wait ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Logins from one network, and separately sign-ups. A network is an IPv4 address or an IPv6 /64.
    pub network: Rate,
    /// Logins to one account, over all networks that are not known for it.
    pub account: Rate,
    /// Logins to one account from a network that is known for it, once `network` is used up.
    pub reserve: Rate,
    /// Consecutive wrong passwords for one account from one network that cause no wait.
    pub account_failures: u32,
    /// Wait after the first failure beyond `account_failures`; doubles with each further failure.
    pub account_wait: Duration,
    /// Upper limit of that wait.
    pub account_wait_max: Duration,
    /// Time for which a network stays known for an account after the correct password came from it.
    pub known_for: Duration,
}

/// A rate limit with a burst, computed by GCRA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Number of attempts that may follow each other without a pause.
    pub burst: u32,
    /// Time after which one more attempt is allowed.
    pub refill: Duration,
}

impl Default for RateLimits {
    /// Network: 300, then one per 200 ms. Account: 100, then one per 10 s. Reserve: 10, then one per 10 s. After 10
    /// failures in a row, waits of 1 s to 60 s. Networks stay known for 30 days.
    fn default() -> Self {
        Self {
            network: Rate {
                burst: 300,
                refill: Duration::from_millis(200),
            },
            account: Rate {
                burst: 100,
                refill: Duration::from_secs(10),
            },
            reserve: Rate {
                burst: 10,
                refill: Duration::from_secs(10),
            },
            account_failures: 10,
            account_wait: Duration::from_secs(1),
            account_wait_max: Duration::from_secs(60),
            known_for: Duration::from_secs(30 * 24 * 3_600),
        }
    }
}
