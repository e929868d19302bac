//! The body of a request as it comes in: read on when nobody wants it any more, and held on a short rein while a form
//! is parsed.

use axum::BoxError;
use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use bytes::Bytes;
use domain::Code;
use futures::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

/// How much of an unwanted body is still read, so that a browser that only sends reads the refusal in the end.
const LINGER_BYTES: usize = 64 << 20;
const LINGER_FOR: Duration = Duration::from_secs(30);
const LINGER_IDLE: Duration = Duration::from_secs(5);

/// Layer: the rest of a body that its handler did not want is read and forgotten, within bounds, while the reply is on
/// its way. A client that waits for `100 Continue` has sent nothing and is not asked to.
pub(crate) fn linger(request: Request) -> Request {
    if request.body().is_end_stream() {
        return request;
    }
    let waits = request.headers().contains_key(EXPECT);
    request.map(|body| {
        Body::from_stream(Lingering {
            body: Some(body.into_data_stream()),
            waits,
        })
    })
}

struct Lingering {
    body: Option<BodyDataStream>,
    waits: bool,
}

impl Stream for Lingering {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.waits = false;
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

impl Drop for Lingering {
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && !self.waits
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(LINGER_FOR, drain(body)));
        }
    }
}

async fn drain(mut body: BodyDataStream) {
    let mut left = LINGER_BYTES;
    while let Ok(Some(Ok(chunk))) = tokio::time::timeout(LINGER_IDLE, body.next()).await {
        left = left.saturating_sub(chunk.len());
        if left == 0 {
            return;
        }
    }
}

/// Holds a body that a parser reads: how long it may pause, and how much of it may come before the parser makes
/// something of it. The parser keeps what it cannot use yet, so without this an endless header would fill the memory.
#[derive(Clone)]
pub(crate) struct Rein(Arc<Held>);

struct Held {
    limit_bytes: u64,
    total: AtomicU64,
    unused: AtomicU64,
    cut: OnceLock<Code>,
}

/// Most bytes that may come before a part begins. A piece of the connection has up to 408 KiB (hyper's largest read
/// buffer), and the parser looks for the next part with up to three of them in hand.
const UNUSED_BYTES: u64 = 2 << 20;

/// What may surround the file in a form.
pub(super) const AROUND_BYTES: u64 = 1 << 20;

impl Rein {
    /// For a form whose file has at most `limit_bytes`.
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self(Arc::new(Held {
            limit_bytes,
            total: AtomicU64::new(0),
            unused: AtomicU64::new(0),
            cut: OnceLock::new(),
        }))
    }

    /// The most that the file may have.
    pub(crate) fn limit_bytes(&self) -> u64 {
        self.0.limit_bytes
    }

    /// The parser made something of what has come.
    pub(crate) fn loosen(&self) {
        self.0.unused.store(0, Ordering::Relaxed);
    }

    /// Why the body was cut off, if it was by us.
    pub(crate) fn cut(&self) -> Option<Code> {
        self.0.cut.get().copied()
    }

    /// The body, cut off when it pauses for longer than `idle`, is longer than any form, or brings too much that is of no
    /// use.
    pub(crate) fn hold(
        &self,
        body: Body,
        idle: Duration,
    ) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + use<> {
        let rein = self.clone();
        futures::stream::try_unfold(body.into_data_stream(), move |mut body| {
            let rein = rein.clone();
            async move {
                // The parser takes all that is ready at once: a pause after each piece makes it work on that first.
                tokio::task::yield_now().await;
                if rein.0.unused.load(Ordering::Relaxed) > UNUSED_BYTES {
                    return Err(rein.cut_off(Code::MultipartInvalid));
                }
                match tokio::time::timeout(idle, body.next()).await {
                    Err(_) => Err(rein.cut_off(Code::RequestTimeout)),
                    Ok(None) => Ok(None),
                    Ok(Some(Err(error))) => Err(error.into()),
                    Ok(Some(Ok(chunk))) => {
                        rein.0.unused.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                        let total = rein.0.total.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                        // A header without an end is told as what it is, and comes first.
                        if total > rein.0.limit_bytes.saturating_add(AROUND_BYTES + UNUSED_BYTES) {
                            return Err(rein.cut_off(Code::UploadTooLarge));
                        }
                        Ok(Some((chunk, body)))
                    }
                }
            }
        })
    }

    fn cut_off(&self, code: Code) -> BoxError {
        // Only the first reason counts.
        let _ = self.0.cut.set(code);
        code.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_pauses_too_long_is_cut_off() {
        let rein = Rein::new(0);
        let body = Body::from_stream(futures::stream::pending::<Result<Bytes, BoxError>>());
        let mut held = Box::pin(rein.hold(body, Duration::from_millis(10)));
        assert!(held.next().await.unwrap().is_err());
        assert_eq!(rein.cut(), Some(Code::RequestTimeout));
    }

    #[tokio::test]
    async fn a_body_of_no_use_is_cut_off() {
        let rein = Rein::new(u64::MAX);
        let endless = futures::stream::repeat_with(|| Ok::<_, BoxError>(Bytes::from_static(&[b'x'; 4_096])));
        let mut held = Box::pin(rein.hold(Body::from_stream(endless), Duration::from_secs(30)));
        for _ in 0..1_000 {
            assert!(held.next().await.unwrap().is_ok());
            rein.loosen();
        }
        let more = held.take_while(|piece| std::future::ready(piece.is_ok())).count().await;
        assert!(more <= 513, "{more} pieces of 4 KiB came through");
        assert_eq!(rein.cut(), Some(Code::MultipartInvalid));
    }

    #[tokio::test]
    async fn a_body_longer_than_any_form_is_cut_off_though_its_parser_likes_it() {
        let rein = Rein::new(0);
        let endless = futures::stream::repeat_with(|| Ok::<_, BoxError>(Bytes::from_static(&[b'x'; 4_096])));
        let held = rein.hold(Body::from_stream(endless), Duration::from_secs(30));
        let liked = held.inspect(|_| rein.loosen());
        let more = liked
            .take_while(|piece| std::future::ready(piece.is_ok()))
            .count()
            .await;
        assert_eq!(
            (more, rein.cut()),
            (769, Some(Code::UploadTooLarge)),
            "3 MiB and one piece"
        );
    }
}
