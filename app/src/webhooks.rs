//! Webhooks: messages to URLs of an account about its events (Standard Webhooks, <https://www.standardwebhooks.com>).
//!
//! *Problem.* A receiver may be slow, hostile or away for days, and it must be able to tell our messages from others.
//!
//! *Mechanism.* An endpoint has a URL and a secret ([`create`]). Each event that an endpoint wants becomes a delivery,
//! a row with the body of the message (`entity::delivery`). Workers send what is due ([`Sender`]) with `outbound`, the
//! only client for such URLs, and sign the id, the time of the attempt and the body ([`Secret`]). Each status but one
//! of success is a failure, a redirect too; the next attempt follows after a growing pause (`domain::webhook`). A
//! receiver that answers 410 does not want messages any more: its endpoint is disabled, with an event, and so is one
//! whose attempts have all failed for days.
//!
//! A task may have a `webhook_url` of its own, which gets the events of this task. These messages are signed with a
//! secret of the account ([`secret_for_tasks`]), because there is one URL for many tasks, or many for one receiver.
//!
//! *Bounds.* [`MAX_ENDPOINTS`] per account. An endpoint takes only some of the places of a worker, and one that does
//! not answer a single one (`webhooks/sender.rs`). Deliveries are kept for [`RETENTION`] after their end.
//!
//! *Rejected.* An order of messages: one that cannot be delivered would hold all later ones back. The time of the event
//! is in each message.

mod secret;
mod sender;

pub use secret::Secret;
pub use sender::{Sender, dispatch};

use crate::app::{App, Core};
use crate::idempotency::{Fingerprint, KeyGuard};
use crate::{Error, Refusal};
use anyhow::Context as _;
use domain::webhook::TEST_EVENT;
use domain::{Code, EventType, UserId};
use entity::delivery::{self, Page};
use entity::webhook::{self, Change, EventTypes};
use entity::{ConnectionTrait, DatabaseTransaction, DbErr};
use outbound::{Policy, Target};
use serde::Serialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// Maximum number of endpoints of an account.
pub const MAX_ENDPOINTS: u64 = 20;
/// Maximum number of deliveries on a page.
pub const PAGE_MAX: u64 = 100;
/// Time for which the previous secret signs too after a rotation.
pub const ROTATION_OVERLAP: Duration = Duration::from_hours(24);
/// Time for which a delivery is kept after its end.
pub const RETENTION: Duration = Duration::from_hours(30 * 24);

/// A URL that may get messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookUrl(String);

impl WebhookUrl {
    /// Checks a URL. A name may still get a forbidden address, which is checked at each attempt.
    ///
    /// # Errors
    /// `webhook_url_invalid`, `webhook_url_forbidden`, which name the field.
    pub fn parse(policy: &Policy, field: &str, text: &str) -> Result<Self, Refusal> {
        let refused = |error: outbound::Error| {
            let code = match error {
                outbound::Error::Address { .. } => Code::WebhookUrlForbidden,
                _ => Code::WebhookUrlInvalid,
            };
            Refusal::of_field(field, code).detail(error.to_string())
        };
        let text = text.trim();
        Target::parse(policy, text).map_err(refused)?;
        Ok(Self(text.to_owned()))
    }

    /// A URL that was checked before it was stored.
    pub(crate) const fn from_stored(url: String) -> Self {
        Self(url)
    }

    /// The URL as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL as it was given.
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// The types of events that an endpoint asks for.
///
/// # Errors
/// `request_invalid` for a word that is no type.
pub fn event_types(words: Vec<String>) -> Result<EventTypes, Refusal> {
    for (index, word) in words.iter().enumerate() {
        if !EventType::ALL.iter().any(|known| known.as_str() == word) {
            let given: String = word.chars().take(100).collect();
            let detail = format!(
                "{given:?}; accepted: {}",
                EventType::ALL.map(EventType::as_str).join(", ")
            );
            return Err(Refusal::of_invalid_field(&format!("event_types[{index}]"), detail));
        }
    }
    Ok(EventTypes(words))
}

/// A new endpoint.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// The URL.
    pub url: String,
    /// The types of events; none for all.
    pub event_types: EventTypes,
    /// The hash of the request, for its idempotency key.
    pub fingerprint: Fingerprint,
}

/// Creates an endpoint. The reply is made from the row and its secret.
///
/// # Errors
/// `webhook_url_invalid`, `webhook_url_forbidden`, `webhooks_too_many`, `sealing_unavailable`,
/// `idempotency_key_in_use`.
pub async fn create<R: Serialize>(
    app: &App,
    user: UserId,
    new: NewWebhook,
    guard: &KeyGuard,
    reply: impl Fn(webhook::Model, Secret) -> R,
) -> Result<R, Error> {
    let url = WebhookUrl::parse(&app.settings.outbound, "url", &new.url)?.into_string();
    let secret = Secret::generate()?;
    let row = webhook::New {
        url,
        event_types: new.event_types,
        secret: secret.seal(app, user)?,
    };
    let sealed = Secret::sealed(row.secret.clone());
    let written = entity::user::write(&app.db, user, async |db| {
        guard.renew(db).await?;
        Refusal::unless_below(MAX_ENDPOINTS, webhook::count(db, user).await?, Code::WebhooksTooMany)?;
        let created = webhook::create(db, user, row).await?;
        guard
            .store_reply(db, &new.fingerprint, &reply(created.clone(), sealed))
            .await?;
        Ok::<_, Error>(reply(created, secret))
    });
    app.with_timeout(written).await
}

/// The reply to [`create`] as it was stored, with the secret that is sealed in it.
///
/// # Errors
/// `sealing_unavailable`.
pub fn open_reply(app: &App, user: UserId, stored: &str) -> Result<String, Error> {
    let mut reply: serde_json::Value = serde_json::from_str(stored).context("failed to parse a stored reply")?;
    let secret = reply.get_mut("secret").context("a stored reply has no secret")?;
    let opened = Secret::open(app, user, secret.as_str().unwrap_or_default())?;
    *secret = opened.into_string().into();
    Ok(reply.to_string())
}

/// A change of an endpoint. `None` keeps a value.
#[derive(Clone, Debug, Default)]
pub struct WebhookPatch {
    /// The URL.
    pub url: Option<String>,
    /// The types of events; none for all.
    pub event_types: Option<EventTypes>,
    /// `true` enables the endpoint, which gets the events from then on; `false` disables it.
    pub enabled: Option<bool>,
}

/// Changes an endpoint. Messages that were not delivered yet are sent to a new URL, and fail when it is disabled.
///
/// # Errors
/// `webhook_url_invalid`, `webhook_url_forbidden`; `webhook_not_found` when another request has removed it.
pub async fn update(app: &App, webhook: &webhook::Model, change: WebhookPatch) -> Result<webhook::Model, Error> {
    let url = change
        .url
        .map(|url| WebhookUrl::parse(&app.settings.outbound, "url", &url));
    let change = Change {
        url: url.transpose()?.map(WebhookUrl::into_string),
        event_types: change.event_types,
        enabled: change.enabled,
    };
    let (id, url) = (webhook.id, change.url.clone());
    let written = entity::write(&app.db, async |db| {
        let changed = webhook::update(db, id, change).await?;
        let changed = changed.ok_or(Code::WebhookNotFound)?;
        if changed.disabled_at.is_some() {
            delivery::end_waiting(db, id, None).await?;
        } else if let Some(url) = url {
            delivery::set_url_of_waiting(db, id, &url).await?;
        }
        Ok::<_, Error>(changed)
    });
    app.with_timeout(written).await
}

/// Removes an endpoint with its deliveries.
///
/// # Errors
/// `webhook_not_found` when another request has removed it.
pub async fn remove(app: &App, webhook: &webhook::Model) -> Result<(), Error> {
    let removed = app.with_timeout(webhook::remove(&app.db, webhook.id)).await?;
    removed.then_some(()).ok_or_else(|| Code::WebhookNotFound.into())
}

/// Makes a new secret. The previous one signs too for [`ROTATION_OVERLAP`].
///
/// # Errors
/// `webhook_not_found` when another request has removed the endpoint.
pub async fn rotate_secret(app: &App, webhook: &webhook::Model) -> Result<(webhook::Model, Secret), Error> {
    let secret = Secret::generate()?;
    let stored = secret.seal(app, webhook.owner())?;
    let rotated = entity::write(&app.db, async |db| {
        webhook::rotate(db, webhook.id, &stored, ROTATION_OVERLAP).await
    });
    let rotated = app.with_timeout(rotated).await?;
    Ok((rotated.ok_or(Code::WebhookNotFound)?, secret))
}

/// The secret with which messages to the `webhook_url` of tasks are signed. It is made at its first use.
///
/// # Errors
/// Errors of the database.
pub async fn secret_for_tasks(app: &App, user: UserId) -> Result<(webhook::Model, Secret), Error> {
    let row = app.with_timeout(ensure_for_tasks(app, &app.db, user)).await?;
    let secret = Secret::open(app, user, &row.secret)?;
    Ok((row, secret))
}

/// Makes a new secret for the `webhook_url` of tasks, also if the one before cannot be read.
///
/// # Errors
/// `sealing_unavailable`; errors of the database.
pub async fn rotate_secret_for_tasks(app: &App, user: UserId) -> Result<(webhook::Model, Secret), Error> {
    let row = app.with_timeout(ensure_for_tasks(app, &app.db, user)).await?;
    rotate_secret(app, &row).await
}

/// The row of the secret for URLs of tasks. Call it in the transaction that stores such a URL.
pub(crate) async fn ensure_for_tasks(
    app: &Core,
    db: &impl ConnectionTrait,
    user: UserId,
) -> Result<webhook::Model, Error> {
    let secret = Secret::generate()?;
    Ok(webhook::of_tasks(db, user, &secret.seal(app, user)?).await?)
}

/// Sends a message of type `webhook.test`, with the endpoint as its data.
///
/// # Errors
/// `webhook_disabled`; `webhook_not_found` when another request has removed it.
pub async fn send_test(app: &App, webhook: &webhook::Model, data: &impl Serialize) -> Result<delivery::Model, Error> {
    let data: Box<RawValue> = serde_json::value::to_raw_value(data).context("failed to serialize a webhook")?;
    let written = entity::write(&app.db, async |db| {
        let webhook = lock_enabled(db, webhook.id).await?.ok_or(Code::WebhookNotFound)?;
        Ok::<_, Error>(delivery::create(db, &webhook, TEST_EVENT, &data).await?)
    });
    app.with_timeout(written).await
}

/// A page of deliveries.
#[derive(Debug)]
pub struct DeliveryPage {
    /// The deliveries, the newest first, each with `true` if it is one to a webhook.
    pub deliveries: Vec<(delivery::Model, bool)>,
    /// The last delivery, when another page follows.
    pub next: Option<String>,
}

/// Lists deliveries of an account, at most [`PAGE_MAX`].
///
/// # Errors
/// Those of the query.
pub async fn deliveries(app: &App, user: UserId, page: Page) -> Result<DeliveryPage, Error> {
    let limit = page.limit.min(PAGE_MAX);
    // One row more than a page holds, to see if there is another page.
    let page = Page {
        limit: limit + 1,
        ..page
    };
    let mut deliveries = app.with_timeout(delivery::list(&app.db, user, page)).await?;
    let more = deliveries.len() as u64 > limit;
    deliveries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = deliveries.last().filter(|_| more).map(|last| last.id.clone());
    let of_tasks = app.with_timeout(webhook::id_of_tasks(&app.db, user)).await?;
    let to_webhook = |delivery: delivery::Model| {
        let is_one = Some(delivery.endpoint_id) != of_tasks;
        (delivery, is_one)
    };
    let deliveries = deliveries.into_iter().map(to_webhook).collect();
    Ok(DeliveryPage { deliveries, next })
}

/// Sends a message again, with the same id, at once and with all attempts. Returns it, and `true` if it is one to a
/// webhook.
///
/// # Errors
/// `delivery_not_found`, `webhook_disabled`.
pub async fn send_again(app: &App, user: UserId, id: &str) -> Result<(delivery::Model, bool), Error> {
    let found = app.with_timeout(delivery::of_user(&app.db, user, id)).await?;
    let found = found.ok_or(Code::DeliveryNotFound)?;
    let written = entity::write(&app.db, async |db| {
        let webhook = lock_enabled(db, found.endpoint_id).await?;
        let webhook = webhook.ok_or(Code::DeliveryNotFound)?;
        let url = webhook.url.as_deref().unwrap_or(&found.url);
        let sent = delivery::send_again(db, id, url).await;
        let sent = sent.map_err(|error| match error {
            DbErr::RecordNotUpdated => Code::DeliveryNotFound.into(),
            error => Error::from(error),
        });
        Ok::<_, Error>((sent?, webhook.url.is_some()))
    });
    app.with_timeout(written).await
}

/// Locks an endpoint for a message. Returns `None` if it was removed.
///
/// # Errors
/// `webhook_disabled`.
async fn lock_enabled(db: &DatabaseTransaction, id: i64) -> Result<Option<webhook::Model>, Error> {
    let webhook = webhook::lock(db, [id]).await?.pop();
    if webhook.as_ref().is_some_and(|webhook| webhook.disabled_at.is_some()) {
        return Err(Code::WebhookDisabled.into());
    }
    Ok(webhook)
}
