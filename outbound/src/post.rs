//! POST of a JSON body: the delivery of a webhook, or a question to a service.

use crate::client::Client;
use crate::error::Error;
use crate::headers::{Headers, retry_after};
use crate::limits::{Limits, Timer};
use crate::target::Target;
use bytes::Bytes;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Response, StatusCode};
use std::time::Duration;

/// Time for which the body of a reply is read, so that the connection can be used again.
const BODY_TIME: Duration = Duration::from_secs(1);

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
}

/// A reply to a POST with its body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status, and when to ask again.
    pub reply: Reply,
    /// The body.
    pub body: Bytes,
}

impl Client {
    /// Sends a body and reads the reply, of whose body at most [`Limits::max_bytes`] and for a second.
    ///
    /// # Errors
    /// Any [`Error`] before the headers of the reply are complete. It is unknown then if the host has got the body.
    pub async fn post(&self, post: Post, limits: Limits) -> Result<Reply, Error> {
        let timer = Timer::start(limits);
        let mut response = self.exchange(request(post), &timer).await?;
        let reply = Reply::of(&response);
        // An unread body would close the connection.
        let mut unread = limits.max_bytes;
        let reading = async {
            while let Ok(Ok(Some(piece))) = timer.piece(response.chunk()).await
                && piece.len() as u64 <= unread
            {
                unread -= piece.len() as u64;
            }
        };
        let _ = tokio::time::timeout(BODY_TIME, reading).await;
        Ok(reply)
    }

    /// Sends a body and reads the reply with its whole body.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a body over [`Limits::max_bytes`], [`Error::Encoding`] for an encoded one; any error
    /// before the reply is complete.
    pub async fn ask(&self, post: Post, limits: Limits) -> Result<Answer, Error> {
        let timer = Timer::start(limits);
        let mut response = self.exchange(request(post), &timer).await?;
        let reply = Reply::of(&response);
        if response.headers().contains_key(CONTENT_ENCODING) {
            return Err(Error::Encoding);
        }
        let max_bytes = limits.max_bytes;
        let mut body = Vec::new();
        while let Some(piece) = timer.piece(response.chunk()).await?.map_err(|_| Error::Cut)? {
            body.extend_from_slice(&piece);
            if body.len() as u64 > max_bytes {
                return Err(Error::TooLarge { max_bytes });
            }
        }
        let body = body.into();
        Ok(Answer { reply, body })
    }
}

impl Reply {
    fn of(response: &Response) -> Self {
        Self {
            status: response.status(),
            retry_after: retry_after(response.headers()),
        }
    }
}

fn request(post: Post) -> Request {
    let mut request = Request::new(Method::POST, post.target.url().clone());
    *request.headers_mut() = post.headers.to_map();
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(CONTENT_TYPE, json);
    *request.body_mut() = Some(post.body.into());
    request
}
