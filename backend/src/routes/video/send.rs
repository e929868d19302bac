//! Sending a stored file, or a range of its bytes (RFC 9110 §14).

use super::range::{self, Wanted};
use crate::AppState;
use crate::error::{Error, Refusal};
use axum::body::Body;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::Code;
use storage::Key;

/// A file that may be sent.
pub(super) struct File {
    /// Its place.
    pub(super) key: Key,
    /// Its length.
    pub(super) bytes: u64,
    /// Its strong validator, in quotes.
    pub(super) etag: String,
    /// What else its reply says.
    pub(super) headers: HeaderMap,
}

impl File {
    /// The reply to a request with these headers.
    pub(super) async fn send(mut self, state: &AppState, request: &HeaderMap) -> Result<Response, Error> {
        let (bytes, etag) = (self.bytes, &self.etag);
        self.headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Ok(value) = HeaderValue::from_str(etag) {
            self.headers.insert(ETAG, value);
        }
        if range::has_it_already(request, etag) {
            return Ok((StatusCode::NOT_MODIFIED, self.headers).into_response());
        }
        let (status, span) = match range::wanted(request, etag, bytes) {
            Wanted::Whole => (StatusCode::OK, 0..bytes),
            Wanted::Part(span) => {
                let range = format!("bytes {}-{}/{bytes}", span.start, span.end.saturating_sub(1));
                if let Ok(value) = HeaderValue::from_str(&range) {
                    self.headers.insert(CONTENT_RANGE, value);
                }
                (StatusCode::PARTIAL_CONTENT, span)
            }
            Wanted::Nothing => {
                let refusal = Refusal::new(Code::RangeInvalid).detail(format!("the file has {bytes} bytes"));
                return Ok(([(CONTENT_RANGE, format!("bytes */{bytes}"))], refusal).into_response());
            }
        };
        let length = [(CONTENT_LENGTH, HeaderValue::from(span.end - span.start))];
        let stream = state.storage.get_range(&self.key, span).await.map_err(of_read)?;
        Ok((status, self.headers, length, Body::from_stream(stream)).into_response())
    }
}

/// A file whose row is there but whose bytes are not was removed between the two.
fn of_read(error: storage::Error) -> Error {
    match error {
        storage::Error::NotFound { .. } | storage::Error::OutOfRange { .. } => {
            tracing::error!(%error, "an output is not where its row says");
            Code::FileNotFound.into()
        }
        error => error.into(),
    }
}
