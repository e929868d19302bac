//! The body of a request as bytes of an upload.

use crate::error::Refusal;
use crate::request_guards::is_paused;
use axum::body::Body;
use bytes::Bytes;
use domain::Code;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Time after which a client may continue at another process, or at this one after its restart.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The bytes of a body. They end with an error when the shutdown begins: the client continues elsewhere, instead of
/// being cut off when the time for requests in progress is over.
pub(crate) fn incoming(
    body: Body,
    shutdown: CancellationToken,
) -> impl Stream<Item = Result<Bytes, app::Error>> + Send + use<> {
    let ending = shutdown.clone();
    let last = stream::once(async move {
        if ending.is_cancelled() {
            let refusal = Refusal::new(Code::Unavailable).retry_after(RETRY_AFTER);
            return Err(refusal
                .detail("the server is shutting down; continue the upload")
                .into());
        }
        Ok(Bytes::new())
    });
    let bytes = body.into_data_stream().map_err(|error| broken(&error));
    bytes.take_until(shutdown.cancelled_owned()).chain(last)
}

fn broken(error: &axum::Error) -> app::Error {
    let refusal = if is_paused(error) {
        Refusal::new(Code::RequestTimeout).detail("the upload paused for too long")
    } else {
        Refusal::new(Code::RequestInvalid).detail("the body ended early")
    };
    refusal.into()
}
