//! Events, in lists and in streams.

use crate::imports::ImportView;
use crate::tasks::{ProgressView, TaskItem};
use crate::uploads::UploadView;
use chrono::{DateTime, Utc};
use domain::{Status, Visibility};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A page of events.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventList {
    /// The events of this page, in the order in which they were committed.
    pub data: Vec<EventView>,
    /// The `after` of the next page, also when there are no more events yet.
    #[schema(example = "4711")]
    pub next_cursor: String,
    /// True if more events follow this page.
    pub has_more: bool,
}

/// An event.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// The id of the event. It grows, and is the cursor of the events after it.
    pub id: i64,
    /// The type of the event: the kind of its subject and what has happened. More types may be added.
    #[serde(rename = "type")]
    #[schema(example = "task.processed")]
    pub kind: String,
    /// Time of the event.
    pub timestamp: DateTime<Utc>,
    /// The subject as it was after the event; of a removed one, before it.
    #[schema(value_type = EventData)]
    pub data: EventJson,
}

/// The data of an event as it was stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventJson(pub Box<RawValue>);

/// The subject of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum EventData {
    /// Of types that begin with `task.`.
    Task(TaskItem),
    /// Of types that begin with `upload.`.
    Upload(UploadView),
    /// Of types that begin with `video.`.
    Video(VideoItem),
    /// Of types that begin with `import.`.
    Import(Box<ImportView>),
    /// Of the type `webhook.disabled`.
    Webhook(DisabledWebhook),
}

/// A video in an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VideoItem {
    /// The id of the video.
    pub id: i64,
    /// The title.
    pub title: String,
    /// The id of the video in another system; unique within the account.
    pub external_id: Option<String>,
    /// The audience besides the owner.
    pub visibility: Visibility,
    /// The task whose outputs are shown; null while the video is private.
    pub task_id: Option<i64>,
    /// Time of the first publication since the video was last private; null while it is private.
    pub published_at: Option<DateTime<Utc>>,
    /// Time of the upload.
    pub created_at: DateTime<Utc>,
    /// Time of the last change.
    pub updated_at: DateTime<Utc>,
}

/// A webhook that was disabled because of its receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DisabledWebhook {
    /// The webhook; null if the URL was the `webhook_url` of a task.
    pub webhook_id: Option<i64>,
    /// The task whose `webhook_url` was removed; null if it is a webhook.
    pub task_id: Option<i64>,
    /// The URL.
    pub url: String,
    /// The message whose attempt was the reason.
    pub delivery_id: String,
    /// Time since which nothing is sent.
    pub disabled_at: DateTime<Utc>,
    /// `gone` if the receiver has answered with 410, `failing` if all attempts have failed for more than five days.
    pub disabled_reason: String,
}

/// The message `task.progress` of a stream. It is no event: it has no id and is not repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskProgressView {
    /// The same as `id`.
    pub task_id: i64,
    /// The id of the task.
    pub id: i64,
    /// `uploaded` or `processing`.
    pub status: Status,
    /// Number of the latest attempt.
    pub attempt: i32,
    /// The progress of the attempt.
    pub progress: ProgressView,
}

/// A ticket for one account's stream of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamTicket {
    /// The value of the parameter `ticket`.
    pub ticket: String,
    /// End of the time in which it opens streams. A stream that is open then stays open.
    pub expires_at: DateTime<Utc>,
}

/// A message of the stream (HTML Living Standard, server-sent events), as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamMessage {
    /// The id to send as `Last-Event-ID` when the client connects again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// `message` for an event, `task.progress` for the progress of a task.
    pub event: String,
    /// JSON: an event, or the progress of a task.
    pub data: String,
}
