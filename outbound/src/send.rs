//! Requests that another client has built and signed, such as one for an object store of a user.

use crate::client::Client;
use crate::error::Error;
use crate::limits::{Limits, Timer};
use crate::target::Target;
use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;
use reqwest::{Method, Request, StatusCode};

/// A request as it is sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// The URL.
    pub target: Target,
    /// All headers but those of the connection.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// A reply of any status. A redirect is one like any other: it is not followed.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Client {
    /// Sends a request and reads the whole reply.
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::TooLarge`] for a body of more than [`Limits::max_bytes`].
    pub async fn send(&self, request: Outgoing, limits: Limits) -> Result<Incoming, Error> {
        let timer = Timer::start(limits);
        let mut sent = Request::new(request.method, request.target.url().clone());
        *sent.headers_mut() = request.headers;
        *sent.body_mut() = Some(request.body.into());
        let mut response = self.exchange(sent, &timer).await?;
        let mut body = BytesMut::new();
        while let Some(piece) = timer.piece(response.chunk()).await?.map_err(|_| Error::Cut)? {
            if (body.len() + piece.len()) as u64 > limits.max_bytes {
                let max_bytes = limits.max_bytes;
                return Err(Error::TooLarge { max_bytes });
            }
            body.extend_from_slice(&piece);
        }
        Ok(Incoming {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: body.freeze(),
        })
    }
}
