//! The base URL of absolute links in replies.

use crate::AppState;
use crate::config::Config;
use crate::request_context::is_https;
use axum::extract::FromRequestParts;
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use std::convert::Infallible;
use url::Url;

/// Scheme and authority without a trailing slash, such as `https://video.example.com`: the configured public URL, else
/// those of the request.
pub(crate) struct BaseUrl(pub(crate) String);

impl FromRequestParts<AppState> for BaseUrl {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let is_https = is_https(&parts.extensions, &parts.headers, &state.config);
        let scheme = if is_https { "https" } else { "http" };
        let host = header(HOST.as_str()).or_else(|| parts.uri.authority().map(Authority::as_str));
        Ok(Self::of(&state.config, scheme, host))
    }
}

impl BaseUrl {
    /// The configured URL, else that of a request with this scheme and host.
    pub(crate) fn of(config: &Config, scheme: &str, host: Option<&str>) -> Self {
        if let Some(url) = &config.public_url {
            return Self(url.as_str().trim_end_matches('/').to_owned());
        }
        // A `Host` with a path or a query would let a client change the path of our links.
        let base = host
            .map(|host| format!("{scheme}://{host}"))
            .filter(|base| is_origin(base));
        Self(base.unwrap_or_else(|| "http://localhost:8000".to_owned()))
    }
}

/// Returns `true` if a URL has only a scheme and an authority without user information.
fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        let is_plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        is_plain && url.username().is_empty() && url.password().is_none()
    }) && !text.ends_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_authority_becomes_an_origin() {
        for (text, is) in [
            ("http://localhost:8000", true),
            ("http://:password@localhost", false),
            ("https://[::1]:80", true),
            ("http://a.example", true),
            ("http://a/../b", false),
            ("http://a/", false),
            ("http://u@a", false),
            ("http://a?x", false),
            ("http://a#x", false),
            ("http://", false),
            ("http://a b", false),
        ] {
            assert_eq!(is_origin(text), is, "{text}");
        }
    }
}
