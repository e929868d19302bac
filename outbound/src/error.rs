//! Errors of requests, each with a stable word.

use reqwest::StatusCode;
use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// The error of a request. Its text is meant for the author of the URL: it tells nothing about the network in which
/// this process runs, such as the address of an internal name. That is in the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL cannot be parsed, has no host, is too long, or has control characters.
    #[error("the URL is invalid")]
    Invalid,
    /// The scheme is neither `http` nor `https`.
    #[error("the scheme of the URL is neither http nor https")]
    Scheme,
    /// The URL contains a user name or a password. The header `Authorization` is for them.
    #[error("the URL contains a user name or a password")]
    Credentials,
    /// A header is invalid or not accepted.
    #[error("the header `{name}` is not accepted")]
    Header {
        /// The name as it was given, shortened.
        name: String,
    },
    /// The host is, or has, an address that is not of the public internet, or is one of this machine.
    #[error("the address of the host is not public")]
    Address {
        /// The refused address.
        address: IpAddr,
    },
    /// The host has no address, or the lookup failed.
    #[error("the host was not found")]
    Lookup,
    /// No connection to any address of the host.
    #[error("the host refused the connection")]
    Connect,
    /// The TLS handshake failed, for example because the certificate is not valid for the host.
    #[error("no secure connection: {reason}")]
    Tls {
        /// The reason by rustls.
        reason: String,
    },
    /// A limit of time is exceeded.
    #[error("{0}")]
    Timeout(Phase),
    /// More than [`MAX_REDIRECTS`](crate::MAX_REDIRECTS) redirects.
    #[error("too many redirects")]
    Redirects,
    /// A redirect without a usable `Location`.
    #[error("a redirect without a valid address")]
    Location,
    /// A redirect from `https` to `http`.
    #[error("a redirect from https to http")]
    Downgrade,
    /// A status that is none of success.
    #[error("the host answered with status {}", status.as_u16())]
    Status {
        /// The status.
        status: StatusCode,
        /// The time after which the host wants to be asked again, by the header `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The reply is no valid HTTP.
    #[error("the reply is no valid HTTP")]
    Protocol,
    /// The headers of the reply are too large.
    #[error("the headers of the reply are too large")]
    Headers,
    /// The body is encoded, for example with gzip, although that was not asked for.
    #[error("the reply has a content coding")]
    Encoding,
    /// The body is larger than the limit.
    #[error("the file is larger than {max_bytes} bytes")]
    TooLarge {
        /// The limit.
        max_bytes: u64,
    },
    /// The range of the reply is not the one that was asked for.
    #[error("the reply has another range than the one that was asked for")]
    Range,
    /// The file is no longer the one whose rest was asked for. The download has to begin again.
    #[error("the file has changed during the download")]
    Changed,
    /// The connection was lost.
    #[error("the connection was lost")]
    Cut,
}

/// The part of a request to which a limit of time applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Phase {
    /// Lookup, TCP connection and TLS handshake.
    #[error("no connection in time")]
    Connect,
    /// From the start of a request until its headers are complete.
    #[error("no reply in time")]
    FirstByte,
    /// Between two pieces of the body.
    #[error("no more data in time")]
    Stall,
    /// The whole request with all redirects and the body.
    #[error("not finished in time")]
    Whole,
}

impl Error {
    /// A word for the kind of error. It never changes.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Scheme => "scheme",
            Self::Credentials => "credentials",
            Self::Header { .. } => "header",
            Self::Address { .. } => "address",
            Self::Lookup => "lookup",
            Self::Connect => "connect",
            Self::Tls { .. } => "tls",
            Self::Timeout(_) => "timeout",
            Self::Redirects => "redirects",
            Self::Location => "location",
            Self::Downgrade => "downgrade",
            Self::Status { .. } => "status",
            Self::Protocol => "protocol",
            Self::Headers => "headers",
            Self::Encoding => "encoding",
            Self::TooLarge { .. } => "too_large",
            Self::Range => "range",
            Self::Changed => "changed",
            Self::Cut => "cut",
        }
    }

    /// Returns true if the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Lookup | Self::Connect | Self::Timeout(_) | Self::Changed | Self::Cut => true,
            Self::Status { status, .. } => {
                let is_client_error = [
                    StatusCode::REQUEST_TIMEOUT,
                    StatusCode::TOO_EARLY,
                    StatusCode::TOO_MANY_REQUESTS,
                ];
                status.is_server_error() || is_client_error.contains(status)
            }
            _ => false,
        }
    }

    /// The error of a request whose reply has not begun.
    pub(crate) fn before_reply(error: &reqwest::Error) -> Self {
        let causes = || std::iter::successors(Some(error as &(dyn StdError + 'static)), |error| (*error).source());
        if let Some(failure) = causes().find_map(|cause| cause.downcast_ref::<LookupError>()) {
            return match failure {
                LookupError::Refused(address) => Self::Address { address: *address },
                LookupError::Failed => Self::Lookup,
            };
        }
        if let Some(reason) = causes().find_map(tls_reason) {
            return Self::Tls { reason };
        }
        if error.is_connect() {
            return if error.is_timeout() {
                Self::Timeout(Phase::Connect)
            } else {
                Self::Connect
            };
        }
        match causes().find_map(|cause| cause.downcast_ref::<hyper::Error>()) {
            Some(cause) if cause.is_parse_too_large() => Self::Headers,
            Some(cause) if cause.is_parse() => Self::Protocol,
            // The URL is valid for `url`, but not for `http`.
            None if error.is_builder() => Self::Invalid,
            _ => Self::Cut,
        }
    }
}

/// The reason of a failed handshake. rustls and its users wrap it into I/O errors, which hide it from `source`.
fn tls_reason(cause: &(dyn StdError + 'static)) -> Option<String> {
    match cause.downcast_ref::<rustls::Error>() {
        Some(error) => Some(error.to_string()),
        None => tls_reason(cause.downcast_ref::<io::Error>()?.get_ref()?),
    }
}

/// The error of a lookup inside of the HTTP client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    #[error("the address {0} is not permitted")]
    Refused(IpAddr),
    #[error("the lookup failed")]
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_tells_the_address_of_an_internal_name() {
        let error = Error::Address {
            address: IpAddr::from([10, 1, 2, 3]),
        };
        assert_eq!(error.to_string(), "the address of the host is not public");
    }

    #[test]
    fn statuses_of_overload_are_transient_and_refusals_are_not() {
        for (status, is_transient) in [
            (500, true),
            (503, true),
            (429, true),
            (408, true),
            (404, false),
            (403, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = Error::Status {
                status,
                retry_after: None,
            };
            assert_eq!(error.is_transient(), is_transient, "{status}");
        }
    }
}
