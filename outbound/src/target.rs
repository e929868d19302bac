//! URLs that have been checked.

use crate::error::Error;
use crate::policy::Policy;
use url::Url;

/// Maximum length of a URL, in bytes. Signed URLs of object stores have up to about 4,000.
const MAX_URL_BYTES: usize = 8192;

/// A URL with the scheme `http` or `https`, without credentials, whose host is a name or a permitted address.
///
/// The checks are done on the result of the parser that also gives the connection its host: decimal, octal, hexadecimal
/// and short forms of an address, full-width digits, percent-encoding and a dot at the end are gone there.
#[derive(Clone, PartialEq, Eq)]
pub struct Target(Url);

impl Target {
    /// Checks a URL as far as that is possible without a lookup. To be called before a URL is stored, so that its
    /// author learns of a fault at once, and again for each request, because the policy may have changed.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Scheme`], [`Error::Credentials`], [`Error::Address`] of a literal address.
    pub fn parse(policy: &Policy, url: &str) -> Result<Self, Error> {
        // The parser leaves control characters out, but the text is stored as well.
        if url.len() > MAX_URL_BYTES || url.contains(char::is_control) {
            return Err(Error::Invalid);
        }
        Self::check(policy, Url::parse(url).map_err(|_| Error::Invalid)?)
    }

    /// The target of a redirect. Credentials in URLs, names and addresses are checked as those of the user.
    ///
    /// # Errors
    /// [`Error::Downgrade`] from `https` to `http`; the errors of [`Target::parse`].
    pub(crate) fn join(&self, policy: &Policy, location: &str) -> Result<Self, Error> {
        if location.len() > MAX_URL_BYTES {
            return Err(Error::Invalid);
        }
        let next = Self::check(policy, self.0.join(location).map_err(|_| Error::Invalid)?)?;
        let is_downgrade = self.0.scheme() == "https" && next.0.scheme() == "http";
        if is_downgrade { Err(Error::Downgrade) } else { Ok(next) }
    }

    fn check(policy: &Policy, mut url: Url) -> Result<Self, Error> {
        if !["http", "https"].contains(&url.scheme()) {
            return Err(Error::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::Credentials);
        }
        policy.check_literal(&url)?;
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// The URL in its normal form, without a fragment. It may contain secrets, such as a signature.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The last part of the path without percent-encoding, which may be empty: a name for the file.
    #[must_use]
    pub fn file_name(&self) -> String {
        let last = self.0.path_segments().and_then(|mut parts| parts.next_back());
        let mut pieces = last.unwrap_or_default().split('%');
        let mut name = pieces.next().unwrap_or_default().as_bytes().to_vec();
        for piece in pieces {
            let byte = piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
            match (byte, piece.get(2..)) {
                (Some(byte), Some(rest)) => {
                    name.push(byte);
                    name.extend(rest.bytes());
                }
                _ => name.extend(format!("%{piece}").bytes()),
            }
        }
        String::from_utf8_lossy(&name).into_owned()
    }

    /// Returns true if both have the same scheme, host and port.
    pub(crate) fn is_same_origin(&self, other: &Self) -> bool {
        self.0.origin() == other.0.origin()
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Path and query may be secrets.
        write!(f, "Target({})", self.0.origin().ascii_serialization())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Result<Target, Error> {
        Target::parse(&Policy::default(), url)
    }

    #[test]
    fn the_name_of_a_file_is_the_end_of_the_path() {
        for (url, name) in [
            ("http://example.com", ""),
            ("http://example.com/a/", ""),
            ("http://example.com/a/b.mp4?c=d/e.mp4#f", "b.mp4"),
            ("http://example.com/m%C3%A1s%20%2b%.mp4%2", "más +%.mp4%2"),
            ("http://example.com/%FFa%é", "\u{fffd}a%é"),
        ] {
            assert_eq!(check(url).unwrap().file_name(), name, "{url}");
        }
    }

    #[test]
    fn only_http_and_https_without_credentials_are_accepted() {
        for url in [
            "http://example.com/a.mp4",
            "https://example.com:8443/?a=b",
            "HTTP://EXAMPLE.com",
            "http:example.com",
        ] {
            check(url).unwrap();
        }
        for url in [
            "ftp://example.com",
            "file:///etc/passwd",
            "gopher://example.com",
            "data:,a",
            "s3://bucket/key",
        ] {
            assert!(matches!(check(url), Err(Error::Scheme)), "{url}");
        }
        for url in [
            "http://a@example.com",
            "http://a:b@example.com",
            "http://:b@example.com",
        ] {
            assert!(matches!(check(url), Err(Error::Credentials)), "{url}");
        }
        let long = format!("http://example.com/{}", "a".repeat(MAX_URL_BYTES));
        for url in [
            "",
            "example.com",
            "//example.com",
            "http://",
            "http://a b",
            "http://[::1",
            "http://a:70000",
            &long,
        ] {
            assert!(matches!(check(url), Err(Error::Invalid)), "{url}");
        }
    }

    #[test]
    fn a_redirect_is_checked_as_the_first_url_and_never_leaves_https() {
        let policy = Policy::default();
        let from = check("https://example.com/a/b?c#d").unwrap();
        let join = |location: &str| from.join(&policy, location);
        assert_eq!(join("x").unwrap().url().as_str(), "https://example.com/a/x");
        assert_eq!(join("//other.test/#f").unwrap().url().as_str(), "https://other.test/");
        assert!(matches!(join("http://example.com/"), Err(Error::Downgrade)));
        assert!(matches!(join("ftp://example.com/"), Err(Error::Scheme)));
        assert!(matches!(join("https://a:b@example.com/"), Err(Error::Credentials)));
        assert!(matches!(join("//127.1/"), Err(Error::Address { .. })));
        assert!(matches!(join("https://["), Err(Error::Invalid)));
        let plain = check("http://example.com").unwrap();
        assert!(plain.join(&policy, "https://example.com").is_ok());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let base = check("https://example.com/a").unwrap();
        for (url, is_same) in [
            ("https://EXAMPLE.com:443/b", true),
            ("https://example.com:444/a", false),
            ("https://www.example.com/a", false),
            ("http://example.com/a", false),
            ("http://example.com:443/a", false),
        ] {
            assert_eq!(base.is_same_origin(&check(url).unwrap()), is_same, "{url}");
        }
    }
}
