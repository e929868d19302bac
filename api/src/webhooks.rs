//! Webhooks: endpoints of an account, and the deliveries of messages to them.

use crate::events::EventJson;
use chrono::{DateTime, Utc};
use domain::{DeliveryStatus, EventType};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The webhooks of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookList {
    /// The webhooks, the oldest first.
    pub data: Vec<WebhookView>,
    /// Always null, because there is only one page.
    pub next_cursor: Option<String>,
}

/// A webhook: a URL that gets the events of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookView {
    /// The id.
    pub id: i64,
    /// The URL to which messages are sent.
    #[schema(example = "https://hooks.example.com/rushes")]
    pub url: String,
    /// The types of events that it gets; empty for all.
    #[schema(value_type = Vec<EventType>)]
    pub event_types: Vec<String>,
    /// False while nothing is sent.
    pub enabled: bool,
    /// Time since which it is disabled; null while it is enabled.
    pub disabled_at: Option<DateTime<Utc>>,
    /// `gone` if the receiver has answered with 410, `failing` if all attempts have failed for more than five days,
    /// `account` if the account has disabled it; null while it is enabled.
    pub disabled_reason: Option<String>,
    /// Until this time, messages have a second signature with the secret before the last rotation.
    pub previous_secret_expires_at: Option<DateTime<Utc>>,
    /// Time of the creation.
    pub created_at: DateTime<Utc>,
    /// Time of the last change.
    pub updated_at: DateTime<Utc>,
}

/// A webhook with its secret, which is shown only once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookWithSecret {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: WebhookView,
    /// The secret with which messages are signed. Keep it: it is not shown again.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    pub secret: String,
}

/// A secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookSecret {
    /// The secret with which messages to the `webhook_url` of tasks are signed.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    pub secret: String,
    /// Until this time, messages have a second signature with the secret before the last rotation.
    pub previous_secret_expires_at: Option<DateTime<Utc>>,
}

/// A new webhook.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhook, example = json!({"url": "https://hooks.example.com/rushes", "event_types": ["task.processed", "task.failed"]}))]
pub struct NewWebhookBody {
    /// A URL, `http` or `https`.
    #[schema(required, nullable = false, min_length = 1, max_length = 8_192)]
    pub url: Option<String>,
    /// The types of events to send; all if it is absent or empty.
    #[schema(value_type = Option<Vec<EventType>>)]
    pub event_types: Option<Vec<String>>,
}

/// A change of a webhook. Fields that are absent or null stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookPatch, example = json!({"enabled": true}))]
pub struct WebhookPatchBody {
    /// A URL, `http` or `https`. Messages that wait are sent to it.
    pub url: Option<String>,
    /// The types of events to send; all if it is empty.
    #[schema(value_type = Option<Vec<EventType>>)]
    pub event_types: Option<Vec<String>>,
    /// False disables the webhook, and its messages that were not delivered yet fail. True enables it for the events
    /// from then on.
    pub enabled: Option<bool>,
}

/// A page of deliveries.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeliveryList {
    /// The deliveries of this page, the newest first.
    pub data: Vec<DeliveryView>,
    /// The `cursor` of the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// A message to a webhook or to the `webhook_url` of a task.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeliveryView {
    /// The id of the message, the header `webhook-id` of each attempt.
    #[schema(example = "msg_0197a6a1c2f17c10a1b2c3d4e5f60718")]
    pub id: String,
    /// The webhook; null if the URL is the `webhook_url` of a task.
    pub webhook_id: Option<i64>,
    /// The task, if the event is one of a task.
    pub task_id: Option<i64>,
    /// The type of the event, or `webhook.test`.
    #[schema(example = "task.processed")]
    pub event_type: String,
    /// The URL.
    pub url: String,
    /// The status: `delivered` and `failed` are final, unless the message is sent again.
    pub status: DeliveryStatus,
    /// Number of failed attempts since it was sent the first time, or again.
    pub failures: i32,
    /// The status of the latest reply; null if there was none.
    pub status_code: Option<i32>,
    /// A word for the latest failure: `status` (of the reply), or why there was no reply: `lookup`, `connect`, `tls`,
    /// `timeout`, `cut`, `protocol`, `headers`, `address`, `invalid`. `disabled` if the webhook was disabled before,
    /// `expired` if the message has waited for five days without an attempt.
    #[schema(example = "timeout")]
    pub error: Option<String>,
    /// Time of the latest attempt.
    pub attempted_at: Option<DateTime<Utc>>,
    /// Time of the next attempt. During an attempt, the time after which another worker repeats it, in case the first
    /// one has died. Null when the delivery has ended.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Time of the end; null while the delivery is pending.
    pub ended_at: Option<DateTime<Utc>>,
    /// Time of the creation.
    pub created_at: DateTime<Utc>,
    /// The body of the message.
    #[schema(value_type = Object)]
    pub payload: EventJson,
}
