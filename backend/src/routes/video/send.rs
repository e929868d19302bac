//! Replies with a stored file or a range of its bytes (RFC 9110 §14), after the preconditions of the request.

use super::conditions::{Precondition, Validators};
use super::range::{self, RequestedRange};
use crate::AppState;
use crate::error::{Error, Refusal, reply};
use axum::body::Body;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use domain::Code;
use entity::task;
use storage::Key;

/// A stored file and the headers of its reply.
pub(crate) struct FileResponse {
    /// The storage key.
    pub(crate) key: Key,
    /// Size of the file.
    pub(crate) bytes: u64,
    /// `ETag` and `Last-Modified`.
    pub(crate) validators: Validators,
    /// The error when the file was removed after its row was read.
    pub(crate) absent: Code,
    /// Further headers.
    pub(crate) headers: HeaderMap,
}

impl FileResponse {
    /// Builds the reply to a request with these headers.
    pub(crate) async fn send(mut self, state: &AppState, request: &HeaderMap) -> Result<Response, Error> {
        let bytes = self.bytes;
        self.headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let modified = httpdate::fmt_http_date(self.validators.modified);
        for (name, value) in [(ETAG, &self.validators.etag), (LAST_MODIFIED, &modified)] {
            if let Ok(value) = HeaderValue::from_str(value) {
                self.headers.insert(name, value);
            }
        }
        match self.validators.evaluate(request) {
            Precondition::Met => {}
            Precondition::NotModified => return Ok((StatusCode::NOT_MODIFIED, self.headers).into_response()),
            Precondition::Failed => {
                let current = format!("the ETag is {}, last modified {modified}", self.validators.etag);
                return Err(Refusal::new(Code::PreconditionFailed).detail(current).into());
            }
        }
        let (status, span) = match range::requested(request, &self.validators, bytes) {
            RequestedRange::Whole => (StatusCode::OK, 0..bytes),
            RequestedRange::Part(span) => {
                let range = format!("bytes {}-{}/{bytes}", span.start, span.end.saturating_sub(1));
                if let Ok(value) = HeaderValue::from_str(&range) {
                    self.headers.insert(CONTENT_RANGE, value);
                }
                (StatusCode::PARTIAL_CONTENT, span)
            }
            RequestedRange::Unsatisfiable => {
                let refusal = Refusal::new(Code::RangeInvalid).detail(format!("the file has {bytes} bytes"));
                return Ok(([(CONTENT_RANGE, format!("bytes */{bytes}"))], reply(refusal)).into_response());
            }
        };
        let length = [(CONTENT_LENGTH, HeaderValue::from(span.end - span.start))];
        let stream = state
            .app
            .storage
            .get_range(&self.key, span)
            .await
            .map_err(|error| from_read_error(error, self.absent))?;
        Ok((status, self.headers, length, Body::from_stream(stream)).into_response())
    }
}

/// Maps an error of reading the file. A file without bytes was removed after its row was read.
fn from_read_error(error: storage::Error, absent: Code) -> Error {
    match error {
        storage::Error::NotFound { .. } | storage::Error::OutOfRange { .. } => {
            tracing::error!(%error, "the file of a row is missing in the storage");
            absent.into()
        }
        error => error.into(),
    }
}

/// Time at which the outputs of a task became visible.
pub(super) fn visible_since(task: &task::Model) -> DateTime<Utc> {
    task.finished_at.unwrap_or(task.timestamp)
}

/// The `Cache-Control` of an output. Private caches may keep it until the link expires, but at most for an hour. The
/// URL of the owner, which has no link parameters, never changes, so caches must revalidate it each time.
pub(super) fn cache_control(link_expires: Option<i64>) -> HeaderValue {
    let left_s = link_expires.map(|expires| (expires - Utc::now().timestamp()).clamp(0, 3_600));
    let text = left_s.map_or_else(
        || "private, no-cache".to_owned(),
        |left_s| format!("private, max-age={left_s}"),
    );
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("private, no-cache"))
}
