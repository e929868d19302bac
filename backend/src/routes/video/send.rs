//! Replies with a stored file or a range of its bytes (RFC 9110 §14), after the preconditions of the request.
//!
//! *Delivery.* Behind an nginx that reads the same storage directory ([`Delivery::Nginx`]), the reply has no body but
//! the path of the file in `X-Accel-Redirect`, and nginx sends the file or the range with `sendfile(2)`: no byte of it
//! passes through this process. All checks are made here before. If nginx cannot open the file, it asks again, with a
//! header that says so. Text is sent from here in any case, because it is compressed, and so are replies to requests
//! that nginx would understand in another way. `redirect.rs` has the delivery by a bucket.

use super::conditions::{Precondition, Validators};
use super::range::{self, RequestedRange};
use crate::AppState;
use crate::config::Delivery;
use crate::error::{Error, Refusal, reply};
use crate::request_context::RequestContext;
use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use domain::Code;
use entity::task;
use std::time::Duration;
use storage::Key;

/// The path at which nginx finds the files of the storage directory (`nginx/nginx.conf.template`).
const INTERNAL_PATH: &str = "/.files/";

const ACCEL_REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");

/// The header of a request that nginx repeats because it could not open the file.
const ACCEL_FAILED: HeaderName = HeaderName::from_static("x-accel-failed");

/// Headers that nginx would also add to the reply of the backend after it could not open the file. So they have other
/// names, and nginx gives them back.
const SENT: [(HeaderName, HeaderName); 2] = [
    (CACHE_CONTROL, HeaderName::from_static("x-accel-cache-control")),
    (
        CONTENT_DISPOSITION,
        HeaderName::from_static("x-accel-content-disposition"),
    ),
];

/// Maximum length of a `Range` that nginx reads. It refuses larger numbers than those of any file.
const RANGE_BYTES: usize = 40;

/// Validity of a signed URL beside the playing time.
const TIME_TO_BEGIN: Duration = Duration::from_secs(300);

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
    /// Time for which a client may read on at a signed URL of the bucket.
    pub(crate) reading: Duration,
}

impl FileResponse {
    /// Builds the reply to a request.
    pub(crate) async fn send(mut self, state: &AppState, request: &Parts) -> Result<Response, Error> {
        let bytes = self.bytes;
        let (parts, request) = (request, &request.headers);
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
        let requested = range::requested(request, &self.validators, bytes);
        if self.is_for_bucket(state, parts, &requested)
            && let Some(redirect) = self.redirect(&state.app.storage).await?
        {
            return Ok(redirect);
        }
        let is_for_nginx = self.is_for_nginx(state, parts, &requested);
        let (status, span) = match requested {
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
        if is_for_nginx && let Ok(path) = HeaderValue::try_from(format!("{INTERNAL_PATH}{}", self.key)) {
            // nginx reads the range, and says that it does.
            self.headers.remove(CONTENT_RANGE);
            self.headers.remove(ACCEPT_RANGES);
            self.headers.insert(ACCEL_REDIRECT, path);
            for (name, sent) in SENT {
                if let Some(value) = self.headers.remove(name) {
                    self.headers.insert(sent, value);
                }
            }
            return Ok(self.headers.into_response());
        }
        let length = [(CONTENT_LENGTH, HeaderValue::from(span.end - span.start))];
        let stream = state
            .app
            .storage
            .get_range(&self.key, span)
            .await
            .map_err(|error| from_read_error(error, self.absent))?;
        Ok((status, self.headers, length, Body::from_stream(stream)).into_response())
    }

    /// Returns `true` for videos, sounds and pictures.
    pub(super) fn is_media(&self) -> bool {
        let kind = self.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        [&b"video/"[..], b"audio/", b"image/"]
            .iter()
            .any(|media| kind.starts_with(media))
    }

    /// Returns `true` if nginx sends the file. It would evaluate `If-Match` and `If-Unmodified-Since` again, with its
    /// own validators, and it has other rules for several ranges and for malformed ones.
    fn is_for_nginx(&self, state: &AppState, request: &Parts, requested: &RequestedRange) -> bool {
        let context = request.extensions.get::<RequestContext>();
        let is_possible = state.config.delivery == Delivery::Nginx
            && context.is_some_and(|context| context.is_from_proxy)
            && state.app.storage.local_root().is_some();
        let headers = &request.headers;
        let is_same_range = match headers.get(RANGE) {
            None => true,
            Some(range) => matches!(requested, RequestedRange::Part(_)) && range.len() <= RANGE_BYTES,
        };
        let is_evaluated = [IF_MATCH, IF_UNMODIFIED_SINCE]
            .iter()
            .any(|name| headers.contains_key(name));
        if !is_possible || !self.is_media() || !is_same_range || is_evaluated {
            return false;
        }
        if headers.contains_key(ACCEL_FAILED) {
            tracing::warn!(key = %self.key, "nginx could not open a file; see NGINX_FILES");
            return false;
        }
        true
    }
}

/// Time for which a client may read on at a signed URL: the playing time and some more to begin, but not longer than
/// the link that leads to it. Browsers send all requests of a player to the URL to which its first one was redirected.
pub(crate) fn reading_time(playing: Duration, link_expires: Option<i64>) -> Duration {
    let left_s = link_expires.map(|expires| u64::try_from(expires - Utc::now().timestamp()).unwrap_or_default());
    (playing + TIME_TO_BEGIN).min(left_s.map_or(Duration::MAX, Duration::from_secs))
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
