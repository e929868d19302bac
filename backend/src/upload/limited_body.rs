//! Limits on a multipart body while it is parsed: its length, and the bytes that the parser buffers.
//!
//! The parser buffers data until it finds the end of a header or a boundary, and has no limit of its own: a header
//! without an end would fill the memory. So this stream counts the bytes since the parser last made progress and ends
//! the body beyond a limit.

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use domain::Code;
use futures::{Stream, TryStreamExt};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Limits of one body, shared by the stream and the reader of the form. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BodyLimit(Arc<Counters>);

struct Counters {
    file_limit_bytes: u64,
    total_bytes: AtomicU64,
    /// Bytes since the parser last made progress.
    unparsed_bytes: AtomicU64,
    /// The reason for the cut-off.
    cut_off: OnceLock<Code>,
}

/// Maximum number of bytes without progress of the parser. One chunk has up to 408 KiB (hyper's largest read buffer),
/// and the parser buffers up to three chunks while it looks for the next part.
const UNPARSED_BYTES: u64 = 2 << 20;

/// Maximum size of everything in a form besides the file.
pub(super) const OVERHEAD_BYTES: u64 = 1 << 20;

impl BodyLimit {
    /// The limits of a form whose file has at most `file_limit_bytes`.
    pub(crate) fn new(file_limit_bytes: u64) -> Self {
        Self(Arc::new(Counters {
            file_limit_bytes,
            total_bytes: AtomicU64::new(0),
            unparsed_bytes: AtomicU64::new(0),
            cut_off: OnceLock::new(),
        }))
    }

    /// Maximum size of the file.
    pub(crate) fn file_limit_bytes(&self) -> u64 {
        self.0.file_limit_bytes
    }

    /// Records that the parser has made progress.
    pub(crate) fn reset_unparsed(&self) {
        self.0.unparsed_bytes.store(0, Ordering::Relaxed);
    }

    /// The limit that ended the body; `None` when it was not cut off.
    pub(crate) fn cut_off_code(&self) -> Option<Code> {
        self.0.cut_off.get().copied()
    }

    /// The body as a stream that fails when the form is too long, or when the parser makes no progress.
    pub(crate) fn apply(&self, body: Body) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + use<> {
        let limit = self.clone();
        futures::stream::try_unfold(body.into_data_stream(), move |mut body| {
            let limit = limit.clone();
            async move {
                // The parser reads until the stream is pending before it parses. Yielding after each chunk lets it
                // parse that chunk first.
                tokio::task::yield_now().await;
                if limit.0.unparsed_bytes.load(Ordering::Relaxed) > UNPARSED_BYTES {
                    return Err(limit.cut_off(Code::MultipartInvalid));
                }
                let Some(chunk) = body.try_next().await? else {
                    return Ok(None);
                };
                limit.0.unparsed_bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                let total = limit.0.total_bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                // With `UNPARSED_BYTES` on top, a header without an end is reported as such and not as a large file.
                if total > limit.0.file_limit_bytes.saturating_add(OVERHEAD_BYTES + UNPARSED_BYTES) {
                    return Err(limit.cut_off(Code::UploadTooLarge));
                }
                Ok(Some((chunk, body)))
            }
        })
    }

    fn cut_off(&self, code: Code) -> BoxError {
        // The first reason is reported.
        let _ = self.0.cut_off.set(code);
        code.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    #[tokio::test]
    async fn a_body_that_the_parser_cannot_use_is_cut_off() {
        let limit = BodyLimit::new(u64::MAX);
        let endless = futures::stream::repeat_with(|| Ok::<_, BoxError>(Bytes::from_static(&[b'x'; 4_096])));
        let mut limited = Box::pin(limit.apply(Body::from_stream(endless)));
        for _ in 0..1_000 {
            assert!(limited.next().await.unwrap().is_ok());
            limit.reset_unparsed();
        }
        let more = limited
            .take_while(|piece| std::future::ready(piece.is_ok()))
            .count()
            .await;
        assert!(more <= 513, "{more} pieces of 4 KiB came through");
        assert_eq!(limit.cut_off_code(), Some(Code::MultipartInvalid));
    }

    #[tokio::test]
    async fn a_body_longer_than_any_form_is_cut_off_even_when_the_parser_makes_progress() {
        let limit = BodyLimit::new(0);
        let endless = futures::stream::repeat_with(|| Ok::<_, BoxError>(Bytes::from_static(&[b'x'; 4_096])));
        let limited = limit.apply(Body::from_stream(endless));
        let parsed = limited.inspect(|_| limit.reset_unparsed());
        let more = parsed
            .take_while(|piece| std::future::ready(piece.is_ok()))
            .count()
            .await;
        assert_eq!(
            (more, limit.cut_off_code()),
            (769, Some(Code::UploadTooLarge)),
            "3 MiB and one piece"
        );
    }
}
