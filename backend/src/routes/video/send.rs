//! Sending a stored file, or a range of its bytes (RFC 9110 §14).

use super::conditions::{Verdict, Version};
use super::range::{self, Wanted};
use crate::AppState;
use crate::error::{Error, Refusal};
use axum::body::Body;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::Code;
use storage::Key;

/// A file that may be sent.
pub(crate) struct File {
    /// Its place.
    pub(crate) key: Key,
    /// Its length.
    pub(crate) bytes: u64,
    /// What tells it from other versions.
    pub(crate) version: Version,
    /// The answer when its bytes have gone since its row was read.
    pub(crate) absent: Code,
    /// What else its reply says.
    pub(crate) headers: HeaderMap,
}

impl File {
    /// The reply to a request with these headers.
    pub(crate) async fn send(mut self, state: &AppState, request: &HeaderMap) -> Result<Response, Error> {
        let bytes = self.bytes;
        self.headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let modified = httpdate::fmt_http_date(self.version.modified);
        for (name, value) in [(ETAG, &self.version.etag), (LAST_MODIFIED, &modified)] {
            if let Ok(value) = HeaderValue::from_str(value) {
                self.headers.insert(name, value);
            }
        }
        match self.version.judge(request) {
            Verdict::Send => {}
            Verdict::NotModified => return Ok((StatusCode::NOT_MODIFIED, self.headers).into_response()),
            Verdict::Failed => {
                let now = format!("the file is {}, of {modified}", self.version.etag);
                return Err(Refusal::new(Code::PreconditionFailed).detail(now).into());
            }
        }
        let (status, span) = match range::wanted(request, &self.version, bytes) {
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
        let stream = state
            .storage
            .get_range(&self.key, span)
            .await
            .map_err(|error| of_read(error, self.absent))?;
        Ok((status, self.headers, length, Body::from_stream(stream)).into_response())
    }
}

/// A file whose row is there but whose bytes are not was removed between the two.
fn of_read(error: storage::Error, absent: Code) -> Error {
    match error {
        storage::Error::NotFound { .. } | storage::Error::OutOfRange { .. } => {
            tracing::error!(%error, "a file is not where its row says");
            absent.into()
        }
        error => error.into(),
    }
}
