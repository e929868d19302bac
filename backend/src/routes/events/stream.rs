//! The body of a stream of events. It ends with the token of the client, with a shutdown, and when the client is too
//! slow (`app::events`).
//!
//! A stream is no request that waits for a change: it takes no slot of `wait_slots.rs` and, on HTTP/2, no permit for
//! concurrent requests. The number of streams has its own limit.

use super::frame;
use app::events::EventStream;
use axum::body::Body;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Time after which a client connects again.
const RETRY: Duration = Duration::from_secs(2);
/// The same after a shutdown: clients are spread over this time on top.
const RETRY_SPREAD: Duration = Duration::from_secs(2);

/// The state of a body between two chunks.
struct Sending {
    events: EventStream,
    /// The position that the client knows; `None` before the first message.
    known: Option<i64>,
    expires: Instant,
    /// The next comment, unless there is a message before.
    heartbeat: Instant,
    limits: Limits,
    is_over: bool,
}

/// The times of a stream.
pub(super) struct Limits {
    /// Time without a message after which a comment is sent.
    pub(super) heartbeat: Duration,
    /// The end of the stream.
    pub(super) expires_at: DateTime<Utc>,
    /// The end of all streams.
    pub(super) shutdown: CancellationToken,
}

/// The body of a stream.
pub(super) fn body(events: EventStream, limits: Limits) -> Body {
    let left = limits.expires_at.signed_duration_since(Utc::now()).to_std();
    // The last second counts: until its end, the client could connect again.
    let left = left.unwrap_or_default() + Duration::from_secs(1);
    let now = Instant::now();
    let sending = Sending {
        events,
        known: None,
        expires: now + left,
        heartbeat: now,
        limits,
        is_over: false,
    };
    Body::from_stream(futures::stream::unfold(sending, |mut sending| async move {
        let chunk = sending.next().await?;
        Some((Ok::<_, Infallible>(chunk), sending))
    }))
}

impl Sending {
    /// The next chunk; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let Some(known) = self.known else {
            let cursor = self.events.cursor();
            self.known = Some(cursor);
            self.heartbeat = Instant::now() + self.limits.heartbeat;
            return Some(frame::first(cursor, RETRY));
        };
        let chunk = tokio::select! {
            biased;
            () = self.limits.shutdown.cancelled() => {
                self.is_over = true;
                frame::last(RETRY + RETRY_SPREAD.mul_f64(spread()))
            }
            () = sleep_until(self.expires) => return None,
            message = self.events.next() => match message {
                Ok(message) => frame::message(message?),
                Err(error) => {
                    tracing::debug!(%error, "a stream of events ended: earlier events could not be read");
                    return None;
                }
            },
            () = sleep_until(self.heartbeat) => {
                let cursor = self.events.cursor();
                self.known = Some(cursor);
                frame::heartbeat((cursor > known).then_some(cursor))
            }
        };
        self.heartbeat = Instant::now() + self.limits.heartbeat;
        Some(chunk)
    }
}

/// A random number between 0 and 1.
fn spread() -> f64 {
    f64::from(u8::try_from(uuid::Uuid::new_v4().as_u128() % 256).unwrap_or_default()) / 255.0
}
