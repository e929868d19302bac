//! What the edge needs to know about an installation: plain values, checked by whoever read them.

use domain::{Language, Limits};
use std::fmt;
use std::time::Duration;
use url::Url;

use crate::extract::Cidr;

/// Settings of the HTTP edge. Start from [`Config::new`] and change what differs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients reach the service, for absolute links; the request's own host when absent.
    pub public_url: Option<Url>,
    /// Keys of tokens and signed links.
    pub secrets: Secrets,
    /// How long a token is valid.
    pub token_ttl: Duration,
    /// How long a signed link is valid.
    pub link_ttl: Duration,
    /// Preset of an upload that names none.
    pub default_preset: String,
    /// Language of replies to a client that wishes for none of ours.
    pub language: Language,
    /// Bounds of an upload.
    pub limits: Limits,
    /// Threads that a worker gives to one task, for estimates.
    pub threads: u32,
    /// What a password must not be.
    pub password_policy: PasswordPolicy,
    /// Peers whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Origins of browsers that may call the API, exact, such as `https://studio.example.com`.
    pub cors_origins: Vec<String>,
    /// How often sign-up and login may be tried.
    pub throttle: Throttle,
    /// How long an upload may pause between two pieces.
    pub upload_idle: Duration,
    /// How long any other request may take until its reply begins.
    pub request_timeout: Duration,
    /// How long browsers shall use TLS only (RFC 6797); no header when absent.
    pub hsts: Option<Duration>,
}

impl Config {
    /// The defaults: tokens for 12 hours, links for 1 hour, preset `web`, Spanish, no proxy, no foreign origin.
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        Self {
            public_url: None,
            secrets,
            token_ttl: Duration::from_secs(12 * 3_600),
            link_ttl: Duration::from_secs(3_600),
            default_preset: "web".to_owned(),
            language: Language::default(),
            limits: Limits::default(),
            threads: 2,
            password_policy: PasswordPolicy::default(),
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            throttle: Throttle::default(),
            upload_idle: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            hsts: None,
        }
    }
}

/// What a password must not be, besides too short and too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PasswordPolicy {
    /// Nothing more.
    #[default]
    Basic,
    /// On the list of common passwords.
    Strict,
}

/// How often sign-up and login may be tried (`auth/throttle.rs` tells why in this way). Every wait ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// Logins of one network, and as many sign-ups. A network is an IPv4 address or a /64 of IPv6.
    pub network: Rate,
    /// Logins of one account from all networks together that are not known for it.
    pub account: Rate,
    /// Allowance of a network that is known for an account after its allowance in `network` is used up.
    pub reserve: Rate,
    /// Wrong passwords for one account from one network in a row, before each further one makes it wait.
    pub account_failures: u32,
    /// The first such wait; it doubles with each further failure.
    pub account_wait: Duration,
    /// The longest such wait.
    pub account_wait_max: Duration,
    /// How long a network is known for an account after the right password came from it.
    pub known_for: Duration,
}

/// An allowance that refills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many may come in a row.
    pub burst: u32,
    /// Time in which one more is earned.
    pub refill: Duration,
}

impl Default for Throttle {
    /// 300 of a network, one more each 200 ms; 100 of an account, one more each 10 s; 10 failures of both, then 1 s to 60 s; known
    /// for 30 days.
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

/// The key that signs, and the one that signed before it and still verifies.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Signs and verifies.
    pub current: Secret,
    /// Verifies only, during a rotation.
    pub previous: Option<Secret>,
}

impl Secrets {
    /// Both, the signing one first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

/// Least bytes of a key.
const SECRET_BYTES: usize = 32;

/// Least different bytes of a key.
const SECRET_DIFFERENT: usize = 8;

/// A key of at least 256 bits (RFC 7518 §3.2); never printed.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

/// A key that is too short, or repeats too few bytes, to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakSecret {
    /// How long it is.
    pub bytes: usize,
}

impl Secret {
    /// Takes the bytes of a key.
    ///
    /// # Errors
    /// [`WeakSecret`] below 32 bytes, or when it holds fewer than 8 different ones.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, WeakSecret> {
        let bytes = bytes.into();
        let different: std::collections::HashSet<_> = bytes.iter().collect();
        if bytes.len() < SECRET_BYTES || different.len() < SECRET_DIFFERENT {
            return Err(WeakSecret { bytes: bytes.len() });
        }
        Ok(Self(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Display for WeakSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a secret of {} bytes", self.bytes)?;
        if self.bytes >= SECRET_BYTES {
            write!(f, ", fewer than {SECRET_DIFFERENT} of them different")?;
        }
        Ok(())
    }
}

impl std::error::Error for WeakSecret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_secret_is_refused_and_none_is_printed() {
        assert!(Secret::new("short").is_err());
        assert!(Secret::new("a".repeat(64)).is_err());
        let secret = Secret::new("0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
