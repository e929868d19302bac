//! What is known about a request before anybody looks at it: its id, the language of its replies, where it came from.

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

/// Facts about a request, the same for its log lines, its reply and its handler.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The id the client gave, or one of ours.
    pub(crate) request_id: Arc<str>,
    /// The language of the reply.
    pub(crate) language: Language,
    /// The address of the client; `None` when the request came through no socket.
    pub(crate) client: Option<IpAddr>,
    /// True when the client reached the service, or a trusted proxy before it, over TLS.
    pub(crate) is_https: bool,
}

impl Context {
    pub(crate) fn of(request: &Request, config: &Config) -> Self {
        let headers = request.headers();
        let wish = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Self {
            request_id: request_id(headers),
            language: wish.and_then(Language::accepted).unwrap_or(config.language),
            is_https: is_https(request.extensions(), headers, config),
            client: peer(request.extensions()).map(|peer| client_address(peer, headers, &config.trusted_proxies)),
        }
    }
}

impl Context {
    /// For a reply to what is no request.
    pub(crate) const fn without_request(request_id: Arc<str>, language: Language) -> Self {
        Self {
            request_id,
            language,
            client: None,
            is_https: false,
        }
    }
}

/// The address on the other side of the socket.
pub(crate) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    // A socket of both families shows `::ffff:10.0.0.1` where people write `10.0.0.1`.
    extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip().to_canonical())
}

/// True when clients use `https`: by the configured address, else by the header of a trusted proxy.
pub(crate) fn is_https(extensions: &Extensions, headers: &HeaderMap, config: &Config) -> bool {
    if let Some(url) = &config.public_url {
        return url.scheme() == "https";
    }
    let is_proxy = peer(extensions).is_some_and(|peer| config.trusted_proxies.iter().any(|block| block.contains(peer)));
    is_proxy && headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https")
}

fn request_id(headers: &HeaderMap) -> Arc<str> {
    let given = headers.get("x-request-id").and_then(|value| value.to_str().ok());
    let sane = |id: &&str| {
        (1..=128).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    given
        .filter(sane)
        .map_or_else(|| Uuid::now_v7().to_string().into(), Into::into)
}

impl<S: Sync> FromRequestParts<S> for Context {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // Every route lies behind `trail`; a router without it answers in the default language.
        let known = parts.extensions.get::<Self>().cloned();
        Ok(known.unwrap_or_else(|| Self::without_request(request_id(&parts.headers), Language::default())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_request_id_is_kept_and_any_other_replaced() {
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
