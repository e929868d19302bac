//! The settings of the HTTP API as plain values. The crate `rushes` reads and checks them.

use app::library::Bounds;
use domain::{Cidr, Language};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Settings of the HTTP API. Start from [`Config::new`] and change single fields.
#[derive(Clone, Debug)]
pub struct Config {
    /// Settings of the use cases.
    pub app: app::Settings,
    /// Base URL of the service for absolute links; `None` uses the `Host` of the request.
    pub public_url: Option<Url>,
    /// Keys that sign tokens and links.
    pub secrets: Secrets,
    /// Lifetime of a token.
    pub token_ttl: Duration,
    /// Shortest lifetime of a signed link.
    pub link_ttl: Duration,
    /// Language of the reply when `Accept-Language` names none that is supported.
    pub language: Language,
    /// Peers whose `X-Forwarded-*` headers are trusted.
    pub trusted_proxies: Vec<Cidr>,
    /// CORS origins that may call the API, compared exactly, such as `https://studio.example.com`.
    pub cors_origins: Vec<String>,
    /// Longest pause between two chunks of an upload.
    pub upload_idle: Duration,
    /// Longest time until the reply of any other request begins.
    pub request_timeout: Duration,
    /// Time without a message after which a stream of events gets a comment. Proxies close connections without traffic
    /// after a minute.
    pub event_heartbeat: Duration,
    /// Directory below which the process keeps its catalog of the library.
    pub catalog_dir: PathBuf,
    /// Maximum age of answers from the catalog while the database is away.
    pub degraded: Bounds,
    /// The sender of the bytes of videos, sounds and pictures.
    pub delivery: Delivery,
    /// `max-age` of `Strict-Transport-Security` (RFC 6797); `None` sends no header.
    pub hsts: Option<Duration>,
}

impl Config {
    /// The defaults: tokens valid for 12 hours, links for 1 hour, Spanish, no trusted proxy, no CORS origin, and those
    /// of [`app::Settings`].
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        Self {
            app: app::Settings::default(),
            public_url: None,
            secrets,
            token_ttl: Duration::from_secs(12 * 3_600),
            link_ttl: Duration::from_secs(3_600),
            language: Language::default(),
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            upload_idle: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            event_heartbeat: Duration::from_secs(15),
            catalog_dir: std::env::temp_dir().join("rushes-catalog"),
            degraded: Bounds::default(),
            delivery: Delivery::Backend,
            hsts: None,
        }
    }
}

/// The sender of the bytes of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The backend.
    Backend,
    /// The trusted proxy, an nginx that reads the same storage directory (`X-Accel-Redirect`). The backend sends files
    /// of a bucket, and files to peers that are no trusted proxy.
    Nginx,
    /// The bucket: the backend redirects to signed URLs of it.
    Redirect,
}

/// The current signing key and, during a rotation, the previous one.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Signs and verifies.
    pub current: Secret,
    /// Verifies only. Set it during a rotation, so that tokens and links signed before stay valid.
    pub previous: Option<Secret>,
}

impl Secrets {
    /// All keys, the signing key first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

/// Minimum length of a key in bytes.
const SECRET_BYTES: usize = 32;

/// Minimum number of distinct bytes in a key.
const SECRET_DISTINCT_BYTES: usize = 8;

/// A signing key of at least 256 bits (RFC 7518 §3.2). `Debug` does not print it.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

/// The error for a key that is too short or has too few distinct bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakSecret {
    /// Length of the refused key.
    pub bytes: usize,
}

impl Secret {
    /// Creates a key from its bytes.
    ///
    /// # Errors
    /// [`WeakSecret`] below 32 bytes or with fewer than 8 distinct bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, WeakSecret> {
        let bytes = bytes.into();
        let distinct: std::collections::HashSet<_> = bytes.iter().collect();
        if bytes.len() < SECRET_BYTES || distinct.len() < SECRET_DISTINCT_BYTES {
            return Err(WeakSecret { bytes: bytes.len() });
        }
        Ok(Self(bytes))
    }

    /// The bytes of the key.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
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
            write!(f, ", fewer than {SECRET_DISTINCT_BYTES} of them different")?;
        }
        Ok(())
    }
}

impl std::error::Error for WeakSecret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_secret_is_refused_and_secrets_are_not_printed() {
        assert!(Secret::new("short").is_err());
        assert!(Secret::new("a".repeat(64)).is_err());
        let secret = Secret::new("0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
