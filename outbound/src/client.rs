//! The client: one exchange at a time, and the loop that follows redirects.

use crate::error::Error;
use crate::headers::{Headers, check_reply};
use crate::limits::Timer;
use crate::policy::Policy;
use crate::resolver::{CheckedResolver, Resolver, SystemResolver};
use crate::target::Target;
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, Request, Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// Maximum number of redirects of a GET.
pub const MAX_REDIRECTS: usize = 3;

/// Time for lookup, TCP connection and TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that a connection is kept for the next request to the same origin. Its address was checked when it was made.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
const MAX_IDLE_PER_ORIGIN: usize = 4;
const USER_AGENT: &str = concat!("Rushes/", env!("CARGO_PKG_VERSION"));

/// The HTTP client for addresses that users give. A clone shares its connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    policy: Arc<Policy>,
}

impl Client {
    /// A client with the resolver of the system.
    ///
    /// # Errors
    /// The TLS library finds no root certificates.
    pub fn new(policy: Policy) -> Result<Self, reqwest::Error> {
        Self::with_resolver(policy, Arc::new(SystemResolver), CONNECT_TIMEOUT)
    }

    /// A client with another resolver, and another time for connections.
    ///
    /// # Errors
    /// The TLS library finds no root certificates.
    pub fn with_resolver(
        policy: Policy,
        resolver: Arc<dyn Resolver>,
        connect_timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        let policy = Arc::new(policy);
        let checked = CheckedResolver {
            policy: Arc::clone(&policy),
            resolver,
        };
        let http = reqwest::Client::builder()
            .dns_resolver(checked)
            // A proxy would do the lookups itself.
            .no_proxy()
            // The loop below follows redirects, because it sees literal addresses, which no resolver sees.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(USER_AGENT)
            .http1_only()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_PER_ORIGIN)
            .build()?;
        Ok(Self { http, policy })
    }

    /// The addresses that may be reached, for [`Target::parse`].
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// A GET that follows redirects. `own` are headers of ours, which every host gets.
    pub(crate) async fn follow(
        &self,
        target: &Target,
        headers: &Headers,
        own: &HeaderMap,
        timer: &Timer,
    ) -> Result<Response, Error> {
        let (mut target, mut headers) = (target.clone(), headers.to_map());
        for _ in 0..=MAX_REDIRECTS {
            let mut request = Request::new(Method::GET, target.url().clone());
            request.headers_mut().extend(headers.clone());
            request.headers_mut().extend(own.clone());
            let response = self.exchange(request, timer).await?;
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).ok_or(Error::Location)?;
            let location = std::str::from_utf8(location.as_bytes()).map_err(|_| Error::Location)?;
            let next = target.join(&self.policy, location).map_err(of_location)?;
            if !next.is_same_origin(&target) {
                // For good, so that a way back cannot be used to learn from them.
                headers.clear();
            }
            target = next;
        }
        Err(Error::Redirects)
    }

    /// One request and the headers of its reply.
    pub(crate) async fn exchange(&self, request: Request, timer: &Timer) -> Result<Response, Error> {
        // The types ensure it already; a literal address that is not checked would be a hole in the network.
        self.policy.check_literal(request.url())?;
        let sent = timer.first_byte(self.http.execute(request)).await?;
        let response = sent.map_err(|error| Error::before_reply(&error))?;
        check_reply(response.headers())?;
        Ok(response)
    }
}

fn is_redirect(status: StatusCode) -> bool {
    [301, 302, 303, 307, 308].contains(&status.as_u16())
}

/// The error of a redirect. One that is malformed is not the fault of the author of the first URL.
fn of_location(error: Error) -> Error {
    match error {
        Error::Invalid | Error::Scheme | Error::Credentials => Error::Location,
        error => error,
    }
}
