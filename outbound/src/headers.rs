//! Headers that users add to a request, and limits of those of a reply.

use crate::error::Error;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::time::{Duration, SystemTime};

/// Maximum number of headers in a request, and their total size in bytes with the names.
const MAX_HEADERS: usize = 32;
const MAX_HEADER_BYTES: usize = 8192;
/// Maximum total size of the headers of a reply. hyper stops to read at about 400 KiB in any case.
const MAX_REPLY_HEADER_BYTES: usize = 64 * 1024;

/// Headers that decide about the connection, the length of the message or the content of the reply, which is the
/// task of the client.
const RESERVED: &[HeaderName] = &[
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::IF_RANGE,
    header::PROXY_AUTHORIZATION,
    header::RANGE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
const RESERVED_NAMES: &[&str] = &["keep-alive", "proxy-connection", "http2-settings"];

/// Headers of a request that its author has chosen. Their values are secrets: they are in no debug output.
#[derive(Clone, Debug, Default)]
pub struct Headers(HeaderMap);

impl Headers {
    /// Checks names and values.
    ///
    /// # Errors
    /// [`Error::Header`] with the first name that is not accepted, or one more than fits.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let (mut headers, mut bytes) = (HeaderMap::new(), 0);
        for (name, value) in pairs {
            let refused = || Error::Header {
                name: name.chars().take(100).collect(),
            };
            let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| refused())?;
            value.set_sensitive(true);
            bytes += name.len() + value.len();
            let is_reserved = RESERVED.contains(&parsed) || RESERVED_NAMES.contains(&parsed.as_str());
            if is_reserved || headers.len() == MAX_HEADERS || bytes > MAX_HEADER_BYTES {
                return Err(refused());
            }
            headers.append(parsed, value);
        }
        Ok(Self(headers))
    }

    pub(crate) fn to_map(&self) -> HeaderMap {
        self.0.clone()
    }
}

/// Refuses a reply with more headers than any honest one has.
pub(crate) fn check_reply(headers: &HeaderMap) -> Result<(), Error> {
    let lengths = headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    let fits = lengths.sum::<usize>() <= MAX_REPLY_HEADER_BYTES;
    fits.then_some(()).ok_or(Error::Headers)
}

/// The header `Retry-After`, which is a number of seconds or a date.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = httpdate::parse_http_date(text).ok()?;
            Some(date.duration_since(SystemTime::now()).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_decide_about_the_connection_are_refused() {
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "CONNECTION",
            "Range",
            "keep-alive",
            "Upgrade",
            "a b",
            "",
        ] {
            assert!(
                matches!(Headers::parse([(name, "x")]), Err(Error::Header { .. })),
                "{name}"
            );
        }
        for value in ["a\r\nb: c", "a\nb", "\0"] {
            assert!(Headers::parse([("x-a", value)]).is_err(), "{value:?}");
        }
        let accepted = Headers::parse([("Authorization", "Bearer s3cret"), ("cookie", "a=b"), ("Cookie", "c=d")]);
        let accepted = accepted.unwrap();
        assert_eq!(accepted.to_map().len(), 3);
        assert!(!format!("{accepted:?}").contains("s3cret"));
    }

    #[test]
    fn number_and_size_of_headers_are_limited() {
        let pairs = |count: usize, value: &'static str| (0..count).map(move |_| ("x-a", value));
        assert!(Headers::parse(pairs(32, "b")).is_ok());
        assert!(Headers::parse(pairs(33, "b")).is_err());
        let long = "b".repeat(MAX_HEADER_BYTES);
        assert!(Headers::parse([("x-a", long.as_str())]).is_err());
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let parse = |text: &str| retry_after(&HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]));
        assert_eq!(parse("120"), Some(Duration::from_secs(120)));
        assert_eq!(parse("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("soon"), None);
        assert_eq!(parse("-1"), None);
    }
}
