//! Requests to the API of a service.
//!
//! A request that meets a limit of the service (429, `Retry-After`) or a fault that may pass (502, 503, 504, a broken
//! connection) is repeated, at most [`ATTEMPTS`] times. No redirect is followed, because the credentials would go
//! with it.

use crate::error::Error;
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use std::time::Duration;
use tokio::time::sleep;
use url::Url;

const ATTEMPTS: u32 = 6;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum pause that a service can ask for.
const MAX_PAUSE: Duration = Duration::from_secs(120);
/// Maximum size of a reply. A page of 1,000 entries has about 2 MiB.
const MAX_BYTES: usize = 16 << 20;

/// The client of one service.
pub(crate) struct Http {
    client: reqwest::Client,
    authorization: Option<HeaderValue>,
}

/// The outcome of one attempt that did not succeed.
enum Failure {
    Final(String),
    Passing(String, Option<Duration>),
}

impl Http {
    /// Creates a client that sends this `Authorization`.
    pub(crate) fn new(authorization: Option<&str>) -> Result<Self, Error> {
        let failed = |reason: String| Error::Request {
            url: "HTTP client".to_owned(),
            reason,
        };
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("rushes/", env!("CARGO_PKG_VERSION")));
        let header = authorization.map(HeaderValue::from_str).transpose();
        let mut header = header.map_err(|_| failed("the credentials have control characters".to_owned()))?;
        if let Some(header) = &mut header {
            header.set_sensitive(true);
        }
        Ok(Self {
            client: builder.build().map_err(|error| failed(error.to_string()))?,
            authorization: header,
        })
    }

    /// The JSON of a reply; `None` for 404.
    pub(crate) async fn get(&self, url: &Url) -> Result<Option<Value>, Error> {
        self.request(Method::GET, url).await
    }

    /// The JSON of the reply to a POST without a body; `None` for 404.
    pub(crate) async fn post(&self, url: &Url) -> Result<Option<Value>, Error> {
        self.request(Method::POST, url).await
    }

    async fn request(&self, method: Method, url: &Url) -> Result<Option<Value>, Error> {
        let mut attempt = 1;
        loop {
            let (reason, pause) = match self.attempt(method.clone(), url).await {
                Ok(value) => return Ok(value),
                Err(Failure::Final(reason)) => return Err(request_error(url, reason)),
                Err(Failure::Passing(reason, _)) if attempt == ATTEMPTS => return Err(request_error(url, reason)),
                Err(Failure::Passing(reason, pause)) => (reason, pause),
            };
            drop(reason);
            sleep(pause.unwrap_or(Duration::from_millis(250 << attempt)).min(MAX_PAUSE)).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, method: Method, url: &Url) -> Result<Option<Value>, Failure> {
        let mut request = self.client.request(method, url.clone());
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let sent = request.send().await;
        let response = sent.map_err(|error| Failure::Passing(error.without_url().to_string(), None))?;
        let status = response.status();
        match status {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => return Err(Failure::Passing(status.to_string(), pause(&response))),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let reason = format!("{status}: the credentials are missing, wrong, or have too few rights");
                return Err(Failure::Final(reason));
            }
            _ if !status.is_success() => return Err(Failure::Final(status.to_string())),
            _ => {}
        }
        let body = body(response).await?;
        let parsed = serde_json::from_slice(&body);
        parsed
            .map(Some)
            .map_err(|_| Failure::Final("the reply is not JSON".to_owned()))
    }
}

fn request_error(url: &Url, reason: String) -> Error {
    Error::Request {
        url: shown(url),
        reason,
    }
}

/// A URL without its query, for messages.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

/// The pause that the service asks for, in seconds. A date is not read; then ours is taken.
fn pause(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

async fn body(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await;
        let chunk = chunk.map_err(|error| Failure::Passing(error.without_url().to_string(), None))?;
        let Some(chunk) = chunk else { return Ok(body) };
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(Failure::Final(format!("the reply is larger than {MAX_BYTES} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
}
