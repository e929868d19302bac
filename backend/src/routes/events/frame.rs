//! Messages of a stream as text (HTML standard, section 9.2, server-sent events).

use crate::view::progress_message;
use api::events::{EventJson, EventView};
use app::events::Message;
use bytes::Bytes;
use entity::event;
use serde::Serialize;
use std::time::Duration;

/// The name of messages about progress.
const PROGRESS: &str = "task.progress";

/// The event as clients see it.
pub(super) fn view(event: event::Model) -> EventView {
    EventView {
        id: event.id,
        kind: event.event_type,
        timestamp: event.at,
        data: EventJson(event.data.into_text()),
    }
}

/// An event or the progress of a task. An event has no name, so that browsers hand all types to `onmessage`.
pub(super) fn message(message: Message) -> Bytes {
    match message {
        Message::Event(event) => {
            let event = view((*event).clone());
            format!("id: {}\ndata: {}\n\n", event.id, json(&event)).into()
        }
        Message::Progress(task) => format!("event: {PROGRESS}\ndata: {}\n\n", json(&progress_message(&task))).into(),
    }
}

/// JSON in one line: line breaks in strings are escaped, and stored data has no others.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The first message. It has no data, so that clients only note the id: a connection that breaks before the first event
/// is resumed there.
pub(super) fn first(cursor: i64, retry: Duration) -> Bytes {
    format!("retry: {}\nid: {cursor}\n\n", retry.as_millis()).into()
}

/// A comment for a time without messages, with the position if it has moved on, so that the cursor of a client without
/// events does not expire.
pub(super) fn heartbeat(cursor: Option<i64>) -> Bytes {
    let id = cursor.map(|cursor| format!("id: {cursor}\n")).unwrap_or_default();
    format!(": heartbeat\n{id}\n").into()
}

/// The last message before a shutdown: the time after which to connect again.
pub(super) fn last(retry: Duration) -> Bytes {
    format!(": shutdown\nretry: {}\n\n", retry.as_millis()).into()
}
