//! Limits of the duration of calls.
//!
//! *Unary calls* end after [`UNARY_MAX`], or at the deadline of the caller if that is sooner: the header `grpc-timeout`
//! of the gRPC protocol over HTTP/2. The limit includes the time to receive the request, so a client that sends only
//! headers is ended as well. The response is complete with its head.
//!
//! *Streams* have the same limit until the head of the response, and [`STREAM_MAX`] for the whole. They also end when
//! the shutdown begins, because they would delay it. A client that watches opens another stream.

use crate::method;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Maximum time to the head of a response.
const UNARY_MAX: Duration = Duration::from_secs(30);
/// Maximum time of a stream.
const STREAM_MAX: Duration = Duration::from_mins(5);

/// Middleware: ends a call when its time has passed. Its future is dropped, and with it the work.
pub(crate) async fn limit(State(shutdown): State<CancellationToken>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let asked = timeout(request.headers()).unwrap_or(Duration::MAX);
    let is_stream = method::of_path(request.uri().path()).is_some_and(|method| method.is_stream);
    let Ok(response) = tokio::time::timeout(asked.min(UNARY_MAX), next.run(request)).await else {
        return Status::deadline_exceeded("the time of the call has passed").into_http();
    };
    if !is_stream {
        return response;
    }
    let end = Box::pin(end(started + asked.min(STREAM_MAX), shutdown));
    response.map(|body| Body::new(LimitedBody { body, end: Some(end) }))
}

/// Waits for the end of a stream and returns its status.
async fn end(deadline: Instant, shutdown: CancellationToken) -> Status {
    tokio::select! {
        () = tokio::time::sleep_until(deadline) => Status::deadline_exceeded("the time of the stream has passed"),
        () = shutdown.cancelled() => Status::unavailable("the server is shutting down"),
    }
}

/// The body of a stream, which ends with a status even if the service never ends it.
struct LimitedBody {
    body: Body,
    /// Resolves to the status; `None` after the end.
    end: Option<Pin<Box<dyn Future<Output = Status> + Send>>>,
}

impl HttpBody for LimitedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(end) = &mut self.end else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(status) = end.as_mut().poll(cx) {
            self.end = None;
            self.body = Body::empty();
            let mut trailers = HeaderMap::new();
            // The messages above are plain ASCII, which is always a valid header.
            let _ = status.add_header(&mut trailers);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The value of `grpc-timeout`: at most eight digits and a unit. A malformed one is ignored, as in other servers.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3_600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::http::HeaderValue;
    use axum::middleware::from_fn_with_state;
    use axum::routing::any;
    use std::io;
    use tonic::Code;
    use tower::ServiceExt;

    const WATCH: &str = "/grpc.health.v1.Health/Watch";

    /// A body that never arrives.
    fn pending() -> Body {
        Body::from_stream(futures::stream::pending::<Result<Bytes, io::Error>>())
    }

    /// Sends a request without an end to a service that reads it, or to a stream without an end.
    async fn call(path: &str, timeout: &str, shutdown: CancellationToken) -> Response {
        let router = Router::new()
            .route(WATCH, any(async || pending()))
            .fallback(async |body: Bytes| body)
            .layer(from_fn_with_state(shutdown, limit));
        let request = Request::builder().uri(path).header("grpc-timeout", timeout);
        router.oneshot(request.body(pending()).unwrap()).await.unwrap()
    }

    /// The code in the trailers, which are the next frame, before the end of the body.
    async fn trailers(response: Response) -> Code {
        let mut body = response.into_body();
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let trailers = frame.unwrap().unwrap().into_trailers().unwrap();
        assert!(body.is_end_stream());
        Status::from_header_map(&trailers).unwrap().code()
    }

    #[tokio::test]
    async fn a_call_whose_request_never_arrives_ends_at_its_deadline() {
        let response = call("/rushes.v1.LibraryService/GetVideo", "20m", CancellationToken::new()).await;
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }

    #[tokio::test]
    async fn a_stream_ends_at_its_deadline_and_at_the_shutdown() {
        let response = call(WATCH, "2S", CancellationToken::new()).await;
        assert_eq!(trailers(response).await, Code::DeadlineExceeded);
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let response = call(WATCH, "1H", shutdown).await;
        assert_eq!(trailers(response).await, Code::Unavailable);
    }

    #[test]
    fn deadlines_have_eight_digits_and_a_unit() {
        let read = |text: &'static str| {
            timeout(&HeaderMap::from_iter([(
                axum::http::HeaderName::from_static("grpc-timeout"),
                HeaderValue::from_static(text),
            )]))
        };
        assert_eq!(read("100m"), Some(Duration::from_millis(100)));
        assert_eq!(read("1H"), Some(Duration::from_hours(1)));
        assert_eq!(read("7u"), Some(Duration::from_micros(7)));
        for malformed in ["", "m", "1", "1x", "123456789S", "-1S", "1.5S"] {
            assert_eq!(read(malformed), None, "{malformed}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }
}
