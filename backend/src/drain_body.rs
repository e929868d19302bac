//! Reads and discards the rest of a request body that the handler did not read.
//!
//! A browser does not read the reply before it has sent its body. If the connection were closed with unread data, the
//! kernel would reset it and the browser would show a network error instead of the refusal. So a spawned task keeps
//! reading for a while, bounded in bytes and in time, while the reply is sent.

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Maximum number of bytes to discard.
const DRAIN_BYTES: usize = 64 << 20;
/// Maximum time to spend on one body.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum pause between two chunks. A client that sends half a body is disconnected this long after its refusal.
const DRAIN_IDLE_TIMEOUT: Duration = Duration::from_secs(3);

/// Middleware: wraps the body so that the part that the handler leaves unread is drained when the body is dropped. A
/// client that still waits for `100 Continue` has sent nothing, so its body is not drained.
pub(crate) fn drain_unread(request: Request) -> Request {
    if request.body().is_end_stream() {
        return request;
    }
    let awaits_continue = request.headers().contains_key(EXPECT);
    request.map(|body| {
        Body::from_stream(DrainedBody {
            body: Some(body.into_data_stream()),
            awaits_continue,
        })
    })
}

struct DrainedBody {
    /// `None` once it was read to its end or failed.
    body: Option<BodyDataStream>,
    /// The client has sent `Expect: 100-continue` and the body has not been polled, so hyper has not sent `100
    /// Continue`.
    awaits_continue: bool,
}

impl Stream for DrainedBody {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.awaits_continue = false;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let polled = body.poll_next_unpin(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }
}

impl Drop for DrainedBody {
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && !self.awaits_continue
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(DRAIN_TIMEOUT, drain(body)));
        }
    }
}

async fn drain(mut body: BodyDataStream) {
    let mut left = DRAIN_BYTES;
    while let Ok(Some(Ok(chunk))) = tokio::time::timeout(DRAIN_IDLE_TIMEOUT, body.next()).await {
        left = left.saturating_sub(chunk.len());
        if left == 0 {
            return;
        }
    }
}
