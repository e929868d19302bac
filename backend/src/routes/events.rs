//! Events of an account: a list, a stream, and tickets for streams.

mod frame;
mod stream;

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{Principal, StreamViewer};
use crate::openapi::{Count, problems};
use crate::routes::parameters::{invalid_parameter, parameter};
use crate::serve::LongReply;
use api::events::{EventList, StreamTicket};
use app::events::{self, PAGE_MAX};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::Utc;
use frame::view;
use stream::Limits;

problems!(ListProblems: QueryInvalid, TokenMissing, TokenInvalid, TokenExpired, CursorExpired, Unavailable);
problems!(StreamProblems: QueryInvalid, TokenMissing, TokenInvalid, TokenExpired, CursorExpired, EventStreamsTooMany, Unavailable);
problems!(TicketProblems: TokenMissing, TokenInvalid, TokenExpired, Unavailable);

type Pairs = Query<Vec<(String, String)>>;

/// The name of the header with the cursor of a client that connects again (HTML, server-sent events).
const LAST_EVENT_ID: &str = "last-event-id";

/// Lists the account's events.
///
/// In the order in which they were committed. Send `next_cursor` as `after` to get the events that follow, now or
/// later. Events are kept for 30 days.
#[utoipa::path(get, operation_id = "list_events", path = "/events", tag = "events", params(
        ("after" = Option<i64>, Query, minimum = 0, description = "The `next_cursor` of the previous page or the `id` of an event; without it, or 0, the list begins with the oldest event that is kept"),
        ("max" = inline(Option<Count>), Query, description = "Maximum number of events on the page; values above 1000 count as 1000, which is also the default")),
    security(("bearer" = [])), responses((status = 200, description = "A page of events", body = EventList), ListProblems))]
pub(crate) async fn list(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Pairs,
) -> Result<Json<EventList>, Error> {
    let after = cursor("after", parameter(&query, "after")?)?.unwrap_or_default();
    let max = page_size(parameter(&query, "max")?)?;
    let page = events::list(&state.app.db, principal.account, after, max).await?;
    Ok(Json(EventList {
        data: page.events.into_iter().map(view).collect(),
        next_cursor: page.next.to_string(),
        has_more: page.has_more,
    }))
}

/// Streams the account's events.
///
/// Server-sent events. Each message has the id of an event, and the event as its data. The messages with the name
/// `task.progress` have no id and tell the progress of tasks, at most once a second for each. A comment follows every
/// 15 seconds without a message. A client that connects again sends the last id in `Last-Event-ID` or `after` and
/// misses nothing. `EventSource` in browsers, which cannot send the header `Authorization`, sends a `ticket`, or the
/// token in the cookie `rushes_token`.
#[utoipa::path(get, operation_id = "stream_events", path = "/events/stream", tag = "events", params(
        ("after" = Option<i64>, Query, minimum = 0, description = "The id after which the stream begins; 0 is the oldest event that is kept. Without it, the stream begins now"),
        ("Last-Event-ID" = Option<String>, Header, pattern = "^[0-9]{0,18}$", description = "The same as `after`, and stronger. Browsers send it when they connect again"),
        ("ticket" = Option<String>, Query, description = "A ticket from `POST /api/events/tickets`, instead of the header `Authorization`")),
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "The stream. It ends when the token expires", content_type = "text/event-stream", body = api::events::StreamMessage), StreamProblems))]
pub(crate) async fn stream(
    State(state): State<AppState>,
    viewer: StreamViewer,
    headers: HeaderMap,
    Query(query): Pairs,
) -> Result<Response, Error> {
    // A value that is no text is refused like any other, not ignored.
    let last_id = headers
        .get(LAST_EVENT_ID)
        .map(|id| String::from_utf8_lossy(id.as_bytes()));
    // Browsers send an empty one when the last message had no id.
    let after = match cursor(LAST_EVENT_ID, last_id.as_deref().filter(|id| !id.is_empty()))? {
        Some(after) => Some(after),
        None => cursor("after", parameter(&query, "after")?)?,
    };
    let opened = state.app.events.open(&state.app.db, viewer.account, after).await?;
    let limits = Limits {
        heartbeat: state.config.event_heartbeat,
        expires_at: viewer.expires_at,
        shutdown: state.alive.shutdown.clone(),
    };
    let body = stream::body(opened, limits);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store, no-transform"),
        ),
        // nginx passes a reply with this header on without buffering.
        (
            header::HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    Ok((headers, Extension(LongReply), body).into_response())
}

/// Issues a ticket for a stream of events.
///
/// For `EventSource` in browsers, which cannot send the header `Authorization`. The ticket opens streams of this
/// account for five minutes and does nothing else.
#[utoipa::path(post, operation_id = "create_stream_ticket", path = "/events/tickets", tag = "events", security(("bearer" = [])),
    responses((status = 200, description = "The ticket", body = StreamTicket), TicketProblems))]
pub(crate) async fn create_ticket(
    State(state): State<AppState>,
    principal: Principal,
) -> Result<Json<StreamTicket>, Error> {
    let (ticket, expires_at) = state
        .tokens
        .issue_ticket(principal.account, principal.expires_at, Utc::now())?;
    Ok(Json(StreamTicket { ticket, expires_at }))
}

/// The value of a cursor.
fn cursor(name: &str, text: Option<&str>) -> Result<Option<i64>, Refusal> {
    let refused = |text| invalid_parameter(name, text, "the id of an event, or the next_cursor of a page");
    let read = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    text.map(|text| read(text).ok_or_else(|| refused(text))).transpose()
}

fn page_size(text: Option<&str>) -> Result<u64, Refusal> {
    let Some(text) = text else { return Ok(PAGE_MAX) };
    let size: Option<u64> = text.parse().ok();
    let size = size.filter(|size| *size >= 1);
    size.map(|size| size.min(PAGE_MAX))
        .ok_or_else(|| invalid_parameter("max", text, "a whole number, 1 or more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_a_number_that_the_server_may_have_sent() {
        assert_eq!(cursor("after", None).ok(), Some(None));
        assert_eq!(cursor("after", Some("0")).ok(), Some(Some(0)));
        assert_eq!(cursor("after", Some("4711")).ok(), Some(Some(4_711)));
        for refused in ["", "-1", "+1", "1.5", "x", "99999999999999999999", "٣"] {
            let refusal = cursor("after", Some(refused)).err();
            assert_eq!(
                refusal.map(|refusal| refusal.code),
                Some(domain::Code::QueryInvalid),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_page_has_at_most_a_thousand_events() {
        let size = |text| page_size(Some(text)).ok();
        assert_eq!(
            [size("1"), size("9999"), size("0"), size("x")],
            [Some(1), Some(PAGE_MAX), None, None]
        );
    }
}
