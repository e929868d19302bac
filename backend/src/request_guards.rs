//! Middleware that refuses a request: for a malformed `Host`, for too many HTTP/2 headers, when the data files are not
//! in their place any more, when the reply takes too long, and when an upload pauses for too long.

use crate::AppState;
use crate::access_log::TASK_ROUTE;
use crate::error::{Error, Refusal, reply};
use crate::routes::tasks::wait::wait_time;
use crate::serve::READ_BYTES;
use crate::tus::shortened;
use axum::BoxError;
use axum::body::Body;
use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::Code;
use futures::{Stream, TryStreamExt};
use std::fmt;
use std::time::Duration;

/// Answers 503 when the database file or the storage directory was moved, replaced or deleted while the process runs.
/// The process still writes to the old files, so the next start would not find what this request has written. The
/// files are checked after each request with an unsafe method; requests with a safe method use the latest result.
pub(crate) async fn require_pinned_files(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let is_safe = request.method().is_safe();
    let response = next.run(request).await;
    let files = &state.alive.files;
    if files.is_changed() || (!is_safe && files.check().await.is_err()) {
        return Error::from(Code::Unavailable).into_response();
    }
    response
}

/// Answers 503 at once while the database is away, for operations that need it and do not ask for an account.
pub(crate) async fn require_database(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if state.app.library.is_degraded() {
        return Error::from(Code::Unavailable).into_response();
    }
    next.run(request).await
}

/// Maximum number of headers of an HTTP/2 request; the same as hyper's limit for HTTP/1.1.
const HEADERS_MAX: usize = 100;

/// Refuses a request whose head is not valid. One layer for all checks, because each layer costs every request.
pub(crate) async fn check_head(request: Request, next: Next) -> Response {
    match check_header_list(&request).and_then(|()| check_host(&request)) {
        Ok(()) => next.run(request).await,
        Err(refusal) => reply(refusal),
    }
}

/// Refuses an HTTP/2 request whose header list is larger than [`READ_BYTES`], the limit of HTTP/1.1. The size of the
/// list includes 32 bytes of overhead per field (RFC 9113 §6.5.2).
fn check_header_list(request: &Request) -> Result<(), Refusal> {
    if request.version() < Version::HTTP_2 {
        return Ok(());
    }
    let headers = request.headers();
    let fields = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 32);
    let bytes = fields.sum::<usize>() + request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if bytes <= READ_BYTES as usize && headers.len() <= HEADERS_MAX {
        return Ok(());
    }
    let detail = format!(
        "{bytes} bytes in {} headers; accepted: {READ_BYTES} bytes in {HEADERS_MAX} headers",
        headers.len()
    );
    Err(Refusal::new(Code::HeadersTooLarge).detail(detail))
}

/// Refuses an HTTP/1.1 request that does not have exactly one valid `Host` header (RFC 9112 §3.2).
fn check_host(request: &Request) -> Result<(), Refusal> {
    let hosts: Vec<_> = request.headers().get_all(header::HOST).iter().collect();
    let names_host = |host: &&HeaderValue| host.as_bytes().is_empty() || Authority::try_from(host.as_bytes()).is_ok();
    let is_valid = match (hosts.as_slice(), request.version()) {
        ([], version) => version != Version::HTTP_11,
        ([host], _) => names_host(host),
        _ => false,
    };
    if is_valid {
        return Ok(());
    }
    let detail = format!(
        "{} Host headers; accepted: one, with a host and an optional port",
        hosts.len()
    );
    Err(Refusal::new(Code::RequestInvalid).detail(detail))
}

/// Refuses a body that is not the whole content as it is: with a content coding (RFC 9110 §15.5.16), or a part of it in
/// a PUT (§14.5). Both would be stored as if they were the file. So would a body with another transfer coding than
/// `chunked` (RFC 9112 §6.1); with two lengths, a proxy may see another body.
pub(crate) async fn require_plain_body(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let coding = codings
        .map(|value| value.to_str().unwrap_or("not ASCII").trim())
        .find(|coding| !coding.eq_ignore_ascii_case("identity"));
    if let Some(coding) = coding {
        let detail = format!("Content-Encoding: {}; accepted: none", shortened(coding));
        return reply(Refusal::new(Code::ContentTypeUnsupported).detail(detail));
    }
    let mut transfer = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    if transfer.any(|value| !is_chunked(value) || headers.contains_key(header::CONTENT_LENGTH)) {
        let detail = "Transfer-Encoding; accepted: chunked, without Content-Length";
        return reply(Refusal::new(Code::RequestInvalid).detail(detail));
    }
    if *request.method() == Method::PUT && headers.contains_key(header::CONTENT_RANGE) {
        let detail = "Content-Range; accepted: the whole content, or a resumable upload (POST /api/uploads)";
        return reply(Refusal::new(Code::RequestInvalid).detail(detail));
    }
    next.run(request).await
}

/// The error of a body that [`limit_pauses`] has ended.
#[derive(Debug)]
pub(crate) struct UploadPaused;

impl fmt::Display for UploadPaused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the upload paused for too long")
    }
}

impl std::error::Error for UploadPaused {}

/// Returns `true` if an error of a body comes from [`limit_pauses`]. The layers above the middleware wrap it.
pub(crate) fn is_paused(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<UploadPaused>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Ends the body with [`UploadPaused`] when the next chunk does not arrive in time. For uploads, whose whole duration
/// has no limit. A chunk that has arrived counts as in time, even when the handler asks for it late.
pub(crate) async fn limit_pauses(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let idle = state.config.upload_idle;
    next.run(request.map(|body| Body::from_stream(without_pauses(body, idle))))
        .await
}

fn without_pauses(body: Body, idle: Duration) -> impl Stream<Item = Result<Bytes, BoxError>> + Send {
    futures::stream::try_unfold(body.into_data_stream(), move |mut body| async move {
        match tokio::time::timeout(idle, body.try_next()).await {
            Err(_) => Err(UploadPaused.into()),
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(chunk)) => Ok(chunk.map(|chunk| (chunk, body))),
        }
    })
}

/// Answers 503 when the reply does not begin within the request timeout. A long poll has its time to wait on top.
pub(crate) async fn limit_reply_time(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let limit = state.config.request_timeout + long_poll_time(&request);
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => reply(Refusal::new(Code::Unavailable).detail("no reply within the time limit")),
    }
}

/// The time that a request waits for a change of a task; zero for any other request.
fn long_poll_time(request: &Request) -> Duration {
    let route = request.extensions().get::<MatchedPath>();
    // axum answers HEAD with the handler of GET.
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let shows_task = reads && route.is_some_and(|route| route.as_str() == TASK_ROUTE);
    let query = shows_task.then(|| Query::<Vec<(String, String)>>::try_from_uri(request.uri()).ok());
    let wait = query.flatten().and_then(|Query(pairs)| wait_time(&pairs).ok());
    wait.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_ends_with_an_error_after_a_pause_that_is_too_long() {
        let idle = Duration::from_secs(30);
        let chunks = futures::stream::unfold(0, move |pauses| async move {
            tokio::time::sleep(idle / 2 * pauses).await;
            Some((Ok::<_, BoxError>(Bytes::from_static(b"chunk")), pauses + 1))
        });
        let limited = without_pauses(Body::from_stream(chunks), idle);
        let mut limited = std::pin::pin!(limited);
        for _ in 0..2 {
            assert!(limited.try_next().await.unwrap().is_some());
        }
        let late = loop {
            if let Err(error) = limited.try_next().await {
                break error;
            }
        };
        assert!(late.is::<UploadPaused>(), "{late}");
    }
}
