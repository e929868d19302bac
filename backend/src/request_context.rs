//! Facts about a request that are read before it is routed: its id, the language of the reply and the address of the
//! client.

use crate::config::Config;
use crate::extract::client_address;
use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::header::ACCEPT_LANGUAGE;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use domain::Language;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use uuid::Uuid;

/// Facts about a request. The access log, the reply and the handler use the same value.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    /// The `X-Request-Id` of the client when it is valid, else a new UUID v7.
    pub(crate) request_id: Arc<str>,
    /// The language of the reply.
    pub(crate) language: Language,
    /// The address of the client, behind trusted proxies; `None` for requests without a socket, as in tests.
    pub(crate) client: Option<IpAddr>,
    /// The client used TLS to reach the service or a trusted proxy before it.
    pub(crate) is_https: bool,
    /// The request comes from a trusted proxy.
    pub(crate) is_from_proxy: bool,
}

impl RequestContext {
    pub(crate) fn of(request: &Request, config: &Config) -> Self {
        let headers = request.headers();
        let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Self {
            request_id: request_id(headers),
            language: accepted.and_then(Language::accepted).unwrap_or(config.language),
            is_https: is_https(request.extensions(), headers, config),
            is_from_proxy: is_from_proxy(request.extensions(), config),
            client: peer(request.extensions()).map(|peer| client_address(peer, headers, &config.trusted_proxies)),
        }
    }

    /// The context of a reply to bytes that could not be parsed as a request.
    pub(crate) const fn without_request(request_id: Arc<str>, language: Language) -> Self {
        Self {
            request_id,
            language,
            client: None,
            is_https: false,
            is_from_proxy: false,
        }
    }
}

/// The address of the peer of the socket.
pub(crate) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    // A dual-stack socket reports IPv4 peers as `::ffff:10.0.0.1`; the settings name them as `10.0.0.1`.
    extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip().to_canonical())
}

/// Returns `true` if clients use `https`: by the scheme of the configured public address, else by `X-Forwarded-Proto`
/// from a trusted proxy.
pub(crate) fn is_https(extensions: &Extensions, headers: &HeaderMap, config: &Config) -> bool {
    if let Some(url) = &config.public_url {
        return url.scheme() == "https";
    }
    is_from_proxy(extensions, config) && headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https")
}

fn is_from_proxy(extensions: &Extensions, config: &Config) -> bool {
    peer(extensions).is_some_and(|peer| config.trusted_proxies.iter().any(|block| block.contains(peer)))
}

fn request_id(headers: &HeaderMap) -> Arc<str> {
    let given = headers.get("x-request-id").and_then(|value| value.to_str().ok());
    // The id is written to logs and into a header, so only harmless characters are accepted.
    let is_valid = |id: &&str| {
        (1..=128).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    given
        .filter(is_valid)
        .map_or_else(|| Uuid::now_v7().to_string().into(), Into::into)
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // `access_log` inserts the context before it calls the router. The telemetry router has no such layer.
        let known = parts.extensions.get::<Self>().cloned();
        Ok(known.unwrap_or_else(|| Self::without_request(request_id(&parts.headers), Language::default())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_request_id_is_kept_and_any_other_is_replaced() {
        for (given, kept) in [
            ("abc-1.2_Z", true),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            (&"x".repeat(129), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", given.parse().unwrap());
            assert_eq!(&*request_id(&headers) == given, kept, "{given}");
        }
        assert_eq!(request_id(&HeaderMap::new()).len(), 36);
    }
}
