//! The connection of `object_store` to the client of the crate `outbound`, which keeps the reason of an error.

use super::error::DestinationError;
use bytes::{Bytes, BytesMut};
use hyper::body::Body;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::path::Path as ObjectPath;
use outbound::{Client, Error, Limits, Outgoing, StatusCode, Target};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Size of a part, of a request that reads, and of the largest file that is sent in one request.
pub(super) const PART_BYTES: u64 = 8 << 20;

/// Maximum length of a text of the server in the log.
const LOGGED_CHARS: usize = 500;

/// Limits of a request. The first byte comes after the whole part was received.
const LIMITS: Limits = Limits {
    first_byte: Duration::from_secs(180),
    stall: Duration::from_secs(30),
    whole: Duration::from_secs(300),
    // A range of an object. All other replies are small.
    max_bytes: PART_BYTES + (64 << 10),
};

/// The reply to the latest request, or the reason why there is none. `object_store` turns both into texts.
#[derive(Debug, Default)]
pub(super) struct LastReply(Mutex<Option<Result<StatusCode, Error>>>);

impl LastReply {
    fn set(&self, reply: Result<StatusCode, Error>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reply);
    }

    /// The error of a failed operation.
    pub(super) fn explain(&self, error: &object_store::Error) -> DestinationError {
        tracing::info!(error = logged(error), "a request to a destination failed");
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Err(Error::Address { .. } | Error::Scheme | Error::Credentials)) => DestinationError::Forbidden,
            Some(Err(error)) => DestinationError::Unreachable(error.to_string()),
            Some(Ok(status)) => of_status(*status),
            None => DestinationError::Refused("the address is invalid".to_owned()),
        }
    }

    /// The error of reading an object that was just written. One that is not there was not kept.
    pub(super) fn explain_read(&self, path: &ObjectPath, error: &object_store::Error) -> DestinationError {
        match (error, self.explain(error)) {
            (object_store::Error::NotFound { .. }, _) => {
                DestinationError::Mismatch(format!("{path}: there is no object after it was written"))
            }
            (_, DestinationError::Refused(reason)) => {
                DestinationError::Refused(format!("{reason} when the object is read again"))
            }
            (_, error) => error,
        }
    }
}

/// The text of an error for the log. It has the body of the reply, which can be long.
pub(super) fn logged(error: &object_store::Error) -> String {
    error.to_string().chars().take(LOGGED_CHARS).collect()
}

fn of_status(status: StatusCode) -> DestinationError {
    let is_transient = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    let code = status.as_u16();
    if status.is_success() {
        return DestinationError::Unreachable("the server sent a reply that is not of S3".to_owned());
    }
    if status.is_server_error() || is_transient.contains(&status) {
        return DestinationError::Unreachable(format!("the server replies with status {code}"));
    }
    DestinationError::Refused(format!("the server replies with status {code}"))
}

/// The bytes of a body. They are in memory already.
async fn joined(mut body: HttpRequestBody) -> Bytes {
    let mut bytes = BytesMut::new();
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(data) = frame.into_data() {
            if bytes.is_empty() && body.is_end_stream() {
                return data;
            }
            bytes.extend_from_slice(&data);
        }
    }
    bytes.freeze()
}

/// Gives a store the client.
#[derive(Debug)]
pub(super) struct Connector(Service);

impl Connector {
    pub(super) fn new(client: Client, last: Arc<LastReply>) -> Self {
        Self(Service { client, last })
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

/// Sends the requests of a store.
#[derive(Clone, Debug)]
struct Service {
    client: Client,
    last: Arc<LastReply>,
}

#[async_trait::async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let sent = async {
            let target = Target::parse(self.client.policy(), &parts.uri.to_string())?;
            let body = joined(body).await;
            let outgoing = Outgoing {
                method: parts.method,
                target,
                headers: parts.headers,
                body,
            };
            self.client.send(outgoing, LIMITS).await
        };
        match sent.await {
            Ok(reply) => {
                self.last.set(Ok(reply.status));
                let mut response = HttpResponse::new(HttpResponseBody::from(reply.body));
                *response.status_mut() = reply.status;
                *response.headers_mut() = reply.headers;
                Ok(response)
            }
            Err(error) => {
                // The kind decides if `object_store` tries again.
                let kind = match &error {
                    Error::Timeout(_) => HttpErrorKind::Timeout,
                    Error::Cut => HttpErrorKind::Interrupted,
                    error if error.is_transient() => HttpErrorKind::Connect,
                    _ => HttpErrorKind::Unknown,
                };
                let text = error.to_string();
                self.last.set(Err(error));
                Err(HttpError::new(kind, std::io::Error::other(text)))
            }
        }
    }
}
