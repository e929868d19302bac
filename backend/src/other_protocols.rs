//! Authentication, links and ids of requests for the other protocols on the port of the HTTP API.

use crate::AppState;
use crate::extract::{BaseUrl, bearer};
use crate::request_context::{RequestContext, is_https};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use domain::{Code, UserId};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

impl AppState {
    /// The account of a valid access token in the `Authorization` header. It may have been removed since.
    ///
    /// # Errors
    /// `token_missing`, `token_invalid`, `token_expired`.
    pub fn account_of(&self, headers: &HeaderMap) -> Result<UserId, Code> {
        bearer(headers, self)
            .map(|principal| principal.account)
            .map_err(|refusal| refusal.code)
    }

    /// The base URL of the links in the response to a request, by the rules of `extract/base_url.rs`.
    #[must_use]
    pub fn base_url(&self, request: &Request) -> String {
        let is_https = is_https(request.extensions(), request.headers(), &self.config);
        let scheme = if is_https { "https" } else { "http" };
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| request.uri().authority().map(Authority::as_str));
        BaseUrl::of(&self.config, scheme, host).0
    }

    /// The `X-Request-Id` of a request when it is valid, else a new id.
    #[must_use]
    pub fn request_id(&self, request: &Request) -> Arc<str> {
        RequestContext::of(request, &self.config).request_id
    }

    /// Canceled when the shutdown of the process begins.
    #[must_use]
    pub fn shutdown(&self) -> CancellationToken {
        self.alive.shutdown.clone()
    }
}
