//! An import as a stream of server-sent events.

use super::view;
use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::StreamViewer;
use crate::openapi::problems;
use crate::serve::LongReply;
use api::imports::ImportMessage;
use app::imports::{self, Watch};
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::Utc;
use domain::Code;
use futures::stream;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// The id of the last message.
const ENDED: &str = "ended";

problems!(StreamProblems: TokenMissing, TokenInvalid, TokenExpired, ImportNotFound, EventStreamsTooMany, Unavailable);

/// Streams an import.
///
/// Server-sent events. Each message has the import as its data, as `GET /api/imports/{id}` shows it: at once, and then
/// at most twice a second when it has changed. The stream ends when the import has ended, and with the token; a comment
/// follows every 15 seconds without a message. A client that connects again gets the whole import at once, so it misses
/// nothing; after the last message, whose id is `ended`, it gets 204. `EventSource` in browsers sends a `ticket`, as
/// for `GET /api/events/stream`.
#[utoipa::path(get, operation_id = "stream_import", path = "/imports/{id}/events", tag = "imports", params(("id" = i64, Path, description = "The id of the import"),
        ("Last-Event-ID" = Option<String>, Header, description = "`ended` after the last message. Browsers send it when they connect again"),
        ("ticket" = Option<String>, Query, description = "A ticket from `POST /api/events/tickets`, instead of the header `Authorization`")),
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "The stream", content_type = "text/event-stream", body = ImportMessage),
        (status = 204, description = "The import has ended, and the client knows it"), StreamProblems))]
pub(crate) async fn events(
    State(state): State<AppState>,
    viewer: StreamViewer,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let id = id.parse().map_err(|_| Refusal::new(Code::ImportNotFound))?;
    let watch = imports::watch(&state.app, viewer.account, id).await?;
    let knows_end = headers.get("last-event-id").is_some_and(|id| id == ENDED);
    if knows_end && watch.has_ended() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let left = viewer.expires_at.signed_duration_since(Utc::now()).to_std();
    let sending = Sending {
        watch,
        heartbeat: state.config.event_heartbeat,
        expires: Instant::now() + left.unwrap_or_default(),
        shutdown: state.alive.shutdown.clone(),
    };
    let body = Body::from_stream(stream::unfold(sending, |mut sending| async move {
        let chunk = sending.next().await?;
        Some((Ok::<_, Infallible>(chunk), sending))
    }));
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store, no-transform"),
        // nginx passes a reply with this header on without buffering.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Extension(LongReply), body).into_response())
}

/// The state of a stream between two chunks.
struct Sending {
    watch: Watch,
    heartbeat: Duration,
    expires: Instant,
    shutdown: CancellationToken,
}

impl Sending {
    /// The next chunk; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => None,
            () = sleep_until(self.expires) => None,
            next = self.watch.next() => match next {
                Ok(import) => {
                    let json = serde_json::to_string(&view(&import?)).unwrap_or_default();
                    let id = if self.watch.has_ended() { format!("id: {ENDED}\n") } else { String::new() };
                    Some(format!("{id}data: {json}\n\n").into())
                }
                Err(error) => {
                    tracing::debug!(?error, "a stream of an import ended: it could not be read");
                    None
                }
            },
            () = tokio::time::sleep(self.heartbeat) => Some(Bytes::from_static(b": heartbeat\n\n")),
        }
    }
}
