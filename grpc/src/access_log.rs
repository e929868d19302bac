//! The access log and the metrics of calls: one line and one sample for each.
//!
//! The status of a call is in the head of the response if it has no messages, else in the trailers. So the response is
//! followed to its end. A call whose client goes away before that is `CANCELLED`.

use crate::call::{BaseUrl, Environment};
use crate::method::{self, METHODS};
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tonic::{Code, Status};
use tracing::{Instrument, Span};

/// The names of the statuses, by their number.
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Label of the calls of methods that do not exist. Clients choose the path, so its text would be an unbounded label.
const UNKNOWN_METHOD: &str = "unknown";

/// Creates the counters, so that the first call of each method has a rate.
pub(crate) fn initialize_metrics() {
    for method in METHODS {
        for code in [Code::Ok, Code::Internal] {
            metrics::counter!("rushes_grpc_calls_total", "method" => method.name, "status" => status_name(code))
                .absolute(0);
        }
    }
}

/// Middleware: adds the base URL of links to the request and the id of the request to the response, and logs and
/// measures the call. See the module.
pub(crate) async fn log(State(environment): State<Environment>, mut request: Request, next: Next) -> Response {
    let request_id = (environment.request_id)(&request);
    let base_url = (environment.base_url)(&request);
    request.extensions_mut().insert(BaseUrl(base_url));
    let method = method::of_path(request.uri().path()).map_or(UNKNOWN_METHOD, |method| method.name);
    let span = tracing::info_span!("call", request_id = &*request_id, method);
    let mut record = Record {
        started: Instant::now(),
        span: span.clone(),
        method,
        code: Code::Cancelled,
    };
    let mut response = next.run(request).instrument(span).await;
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-request-id", id);
    }
    if let Some(code) = code(response.headers()) {
        record.code = code;
        return response;
    }
    response.map(|body| {
        Body::new(RecordedBody {
            body,
            record: Some(record),
        })
    })
}

/// The code in a head or in trailers.
fn code(headers: &HeaderMap) -> Option<Code> {
    let code = headers.get(Status::GRPC_STATUS)?;
    Some(Code::from_bytes(code.as_bytes()))
}

fn status_name(code: Code) -> &'static str {
    let name = usize::try_from(i32::from(code)).ok().and_then(|at| STATUSES.get(at));
    name.copied().unwrap_or("UNKNOWN")
}

/// A call in progress. Dropping it writes the log line and the sample.
struct Record {
    started: Instant,
    span: Span,
    method: &'static str,
    code: Code,
}

impl Drop for Record {
    fn drop(&mut self) {
        let (duration, status) = (self.started.elapsed(), status_name(self.code));
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.span.in_scope(|| {
            // Health probes arrive every few seconds; at `info` they would be most of the log.
            if self.code == Code::Ok && self.method == "grpc.health.v1.Health/Check" {
                tracing::debug!(status, duration_ms, "answered");
            } else {
                tracing::info!(status, duration_ms, "answered");
            }
        });
        metrics::counter!("rushes_grpc_calls_total", "method" => self.method, "status" => status).increment(1);
        metrics::histogram!("rushes_grpc_call_duration_seconds", "method" => self.method).record(duration);
    }
}

/// The body of a response. Its trailers end the record.
struct RecordedBody {
    body: Body,
    record: Option<Record>,
}

impl HttpBody for RecordedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(trailers) = frame.trailers_ref()
            && let Some(mut record) = self.record.take()
        {
            record.code = code(trailers).unwrap_or(Code::Unknown);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_the_names_of_the_protocol() {
        for (code, name) in [
            (Code::Ok, "OK"),
            (Code::Cancelled, "CANCELLED"),
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            (Code::Internal, "INTERNAL"),
            (Code::Unauthenticated, "UNAUTHENTICATED"),
        ] {
            assert_eq!(status_name(code), name);
        }
    }
}
