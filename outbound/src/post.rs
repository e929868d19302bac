//! POST of a JSON body, such as the delivery of a webhook.

use crate::client::Client;
use crate::error::Error;
use crate::headers::{Headers, retry_after};
use crate::limits::{Limits, Timer};
use crate::target::Target;
use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, StatusCode};
use std::time::Duration;

/// A POST of a JSON body.
#[derive(Clone, Debug)]
pub struct Post {
    /// The URL.
    pub target: Target,
    /// Headers in addition to the content type.
    pub headers: Headers,
    /// The body: valid JSON, sent as it is, because its bytes may be signed.
    pub body: Bytes,
}

/// The reply to a POST, of any status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status. A redirect is one like any other: it is not followed.
    pub status: StatusCode,
    /// The time after which the host wants to be asked again, by the header `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The begin of the body as sent, at most [`Limits::max_bytes`]. Shorter if the body was cut or did not end in
    /// time.
    pub body: Bytes,
}

impl Client {
    /// Sends a body and reads the reply.
    ///
    /// # Errors
    /// Any [`Error`] before the headers of the reply are complete. It is unknown then if the host has got the body.
    pub async fn post(&self, post: Post, limits: Limits) -> Result<Reply, Error> {
        let timer = Timer::start(limits);
        let mut request = Request::new(Method::POST, post.target.url().clone());
        *request.headers_mut() = post.headers.to_map();
        request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(post.body.into());
        let mut response = self.exchange(request, &timer).await?;
        let max_bytes = usize::try_from(limits.max_bytes).unwrap_or(usize::MAX);
        let mut body = BytesMut::new();
        while body.len() < max_bytes
            && let Ok(Ok(Some(piece))) = timer.piece(response.chunk()).await
        {
            body.extend_from_slice(&piece);
        }
        body.truncate(max_bytes);
        Ok(Reply {
            status: response.status(),
            retry_after: retry_after(response.headers()),
            body: body.freeze(),
        })
    }
}
