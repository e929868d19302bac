//! Webhooks: endpoints of an account and their secrets. `deliveries.rs` has the log of messages.

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{FromBody, Json as Body, Owned, Principal};
use crate::idempotency::{Created, IdempotencyKey, IdempotencyKeyHeader};
use crate::openapi::problems;
use crate::reply::SuccessMessage;
use crate::request_context::RequestContext;
use crate::routes::deliveries::delivery_view;
use api::reply::Message;
use api::webhooks::{
    DeliveryView, NewWebhookBody, WebhookList, WebhookPatchBody, WebhookSecret, WebhookView, WebhookWithSecret,
};
use app::idempotency::{Fingerprint, Outcome};
use app::webhooks::{self, NewWebhook, Secret, WebhookPatch, event_types};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use entity::webhook;
use serde_json::json;

impl FromBody for NewWebhook {
    type Wire = NewWebhookBody;

    fn check(body: NewWebhookBody) -> Result<Self, Refusal> {
        let NewWebhookBody {
            url,
            event_types: words,
        } = body;
        let fingerprint = Fingerprint::of(&json!([url, words]));
        Ok(Self {
            url: url.ok_or_else(|| Refusal::of_missing_field("url"))?,
            event_types: event_types(words.unwrap_or_default())?,
            fingerprint,
        })
    }
}

impl FromBody for WebhookPatch {
    type Wire = WebhookPatchBody;

    fn check(body: WebhookPatchBody) -> Result<Self, Refusal> {
        Ok(Self {
            url: body.url,
            event_types: body.event_types.map(event_types).transpose()?,
            enabled: body.enabled,
        })
    }
}

fn view(webhook: webhook::Model) -> WebhookView {
    WebhookView {
        previous_secret_expires_at: previous_secret_expires_at(&webhook),
        id: webhook.id,
        url: webhook.url.unwrap_or_default(),
        event_types: webhook.event_types.0,
        enabled: webhook.disabled_at.is_none(),
        disabled_at: webhook.disabled_at,
        disabled_reason: webhook.disabled_reason,
        created_at: webhook.created_at,
        updated_at: webhook.updated_at,
    }
}

fn previous_secret_expires_at(webhook: &webhook::Model) -> Option<chrono::DateTime<chrono::Utc>> {
    webhook.previous_until.filter(|_| webhook.signing_previous().is_some())
}

fn with_secret(webhook: webhook::Model, secret: Secret) -> WebhookWithSecret {
    WebhookWithSecret {
        webhook: view(webhook),
        secret: secret.into_string(),
    }
}

fn secret_view(webhook: &webhook::Model, secret: Secret) -> WebhookSecret {
    WebhookSecret {
        secret: secret.into_string(),
        previous_secret_expires_at: previous_secret_expires_at(webhook),
    }
}

problems!(ListProblems: TokenMissing, TokenInvalid, TokenExpired, Unavailable);
problems!(CreateProblems: FieldsMissing, WebhookUrlInvalid, WebhookUrlForbidden, RequestInvalid, JsonInvalid, IdempotencyKeyInvalid,
    TokenMissing, TokenInvalid, TokenExpired, RequestTimeout, WebhooksTooMany, IdempotencyKeyInUse, BodyTooLarge,
    ContentTypeUnsupported, IdempotencyKeyReused, SealingUnavailable, Unavailable);
problems!(WebhookProblems: TokenMissing, TokenInvalid, TokenExpired, WebhookNotFound, Unavailable);
problems!(SecretProblems: TokenMissing, TokenInvalid, TokenExpired, SealingUnavailable, Unavailable);
problems!(RotateProblems: TokenMissing, TokenInvalid, TokenExpired, WebhookNotFound, SealingUnavailable, Unavailable);
problems!(UpdateProblems: WebhookUrlInvalid, WebhookUrlForbidden, RequestInvalid, JsonInvalid, TokenMissing, TokenInvalid, TokenExpired,
    WebhookNotFound, RequestTimeout, BodyTooLarge, ContentTypeUnsupported, Unavailable);
problems!(TestProblems: TokenMissing, TokenInvalid, TokenExpired, WebhookNotFound, WebhookDisabled, Unavailable);

/// Lists the account's webhooks.
///
/// All of them on one page, without their secrets.
#[utoipa::path(get, operation_id = "list_webhooks", path = "/webhooks", tag = "webhooks", security(("bearer" = [])),
    responses((status = 200, description = "The webhooks", body = WebhookList), ListProblems))]
pub(crate) async fn list(State(state): State<AppState>, principal: Principal) -> Result<Json<WebhookList>, Error> {
    let webhooks = webhook::list(&state.app.db, principal.account);
    let webhooks = state.app.with_timeout(webhooks).await?;
    Ok(Json(WebhookList {
        data: webhooks.into_iter().map(view).collect(),
        next_cursor: None,
    }))
}

/// Creates a webhook.
///
/// It gets the events from now on. The reply has the secret with which its messages are signed (Standard Webhooks). An
/// account may have up to 20 webhooks.
#[utoipa::path(post, operation_id = "create_webhook", path = "/webhooks", tag = "webhooks", params(IdempotencyKeyHeader), security(("bearer" = [])),
    request_body(content = NewWebhookBody, description = "A URL, and the types of events for it"),
    responses((status = 201, description = "The webhook with its secret", body = WebhookWithSecret), CreateProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    principal: Principal,
    key: IdempotencyKey,
    Body(new): Body<NewWebhook>,
) -> Result<Created<WebhookWithSecret>, Error> {
    let fingerprint = async |new: NewWebhook| Ok::<_, Error>(new.fingerprint);
    let work = async |new, guard| {
        let created = webhooks::create(&state.app, principal.account, new, &guard, with_secret);
        Ok::<_, Error>(created.await?)
    };
    let outcome = key.of(principal).once(&state.app, new, fingerprint, work).await?;
    Ok(Created(match outcome {
        Outcome::Replayed(stored) => Outcome::Replayed(webhooks::open_reply(&state.app, principal.account, &stored)?),
        executed @ Outcome::Executed(_) => executed,
    }))
}

/// Shows a webhook.
///
/// Without its secret.
#[utoipa::path(get, operation_id = "show_webhook", path = "/webhooks/{id}", tag = "webhooks", params(("id" = i64, Path, description = "The id of the webhook")),
    security(("bearer" = [])), responses((status = 200, description = "The webhook", body = WebhookView), WebhookProblems))]
pub(crate) async fn show(Owned(webhook): Owned<webhook::Model>) -> Json<WebhookView> {
    Json(view(webhook))
}

/// Changes a webhook.
///
/// Its URL, its types of events, or if it is enabled. A webhook that was disabled because of its receiver is enabled so
/// again.
#[utoipa::path(patch, operation_id = "update_webhook", path = "/webhooks/{id}", tag = "webhooks", params(("id" = i64, Path, description = "The id of the webhook")),
    security(("bearer" = [])), request_body(content = WebhookPatchBody, description = "The fields to change"),
    responses((status = 200, description = "The webhook", body = WebhookView), UpdateProblems))]
pub(crate) async fn update(
    State(state): State<AppState>,
    Owned(webhook): Owned<webhook::Model>,
    Body(change): Body<WebhookPatch>,
) -> Result<Json<WebhookView>, Error> {
    let changed = webhooks::update(&state.app, &webhook, change).await?;
    Ok(Json(view(changed)))
}

/// Removes a webhook with its deliveries.
///
/// Its messages that were not delivered yet are not sent any more.
#[utoipa::path(delete, operation_id = "remove_webhook", path = "/webhooks/{id}", tag = "webhooks", params(("id" = i64, Path, description = "The id of the webhook")),
    security(("bearer" = [])), responses((status = 200, description = "The webhook was removed", body = Message), WebhookProblems))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    context: RequestContext,
    Owned(webhook): Owned<webhook::Model>,
) -> Result<Json<Message>, Error> {
    webhooks::remove(&state.app, &webhook).await?;
    let message = SuccessMessage::Deleted.in_language(context.language);
    Ok(Json(Message::new(message)))
}

/// Makes a new secret for a webhook.
///
/// For the next 24 hours, each message has two signatures: with the new secret and with the one before it.
#[utoipa::path(post, operation_id = "rotate_webhook_secret", path = "/webhooks/{id}/secret/rotate", tag = "webhooks", params(("id" = i64, Path, description = "The id of the webhook")),
    security(("bearer" = [])), responses((status = 200, description = "The webhook with its new secret", body = WebhookWithSecret), RotateProblems))]
pub(crate) async fn rotate_secret(
    State(state): State<AppState>,
    Owned(webhook): Owned<webhook::Model>,
) -> Result<Json<WebhookWithSecret>, Error> {
    let (webhook, secret) = webhooks::rotate_secret(&state.app, &webhook).await?;
    Ok(Json(with_secret(webhook, secret)))
}

/// Sends a test message to a webhook.
///
/// Its type is `webhook.test` and its data the webhook. The reply is the delivery before its first attempt.
#[utoipa::path(post, operation_id = "test_webhook", path = "/webhooks/{id}/test", tag = "webhooks", params(("id" = i64, Path, description = "The id of the webhook")),
    security(("bearer" = [])), responses((status = 202, description = "The message will be sent", body = DeliveryView), TestProblems))]
pub(crate) async fn test(
    State(state): State<AppState>,
    Owned(webhook): Owned<webhook::Model>,
) -> Result<(StatusCode, Json<DeliveryView>), Error> {
    let delivery = webhooks::send_test(&state.app, &webhook, &view(webhook.clone())).await?;
    Ok((StatusCode::ACCEPTED, Json(delivery_view(delivery, true))))
}

/// Shows the secret for tasks.
///
/// Messages to the `webhook_url` of tasks are signed with it. It is made at its first use.
#[utoipa::path(get, operation_id = "show_task_webhook_secret", path = "/webhooks/secret", tag = "webhooks", security(("bearer" = [])),
    responses((status = 200, description = "The secret", body = WebhookSecret), SecretProblems))]
pub(crate) async fn show_secret(
    State(state): State<AppState>,
    principal: Principal,
) -> Result<Json<WebhookSecret>, Error> {
    let (webhook, secret) = webhooks::secret_for_tasks(&state.app, principal.account).await?;
    Ok(Json(secret_view(&webhook, secret)))
}

/// Makes a new secret for tasks.
///
/// For the next 24 hours, each message has two signatures: with the new secret and with the one before it.
#[utoipa::path(post, operation_id = "rotate_task_webhook_secret", path = "/webhooks/secret/rotate", tag = "webhooks", security(("bearer" = [])),
    responses((status = 200, description = "The new secret", body = WebhookSecret), SecretProblems))]
pub(crate) async fn rotate_task_secret(
    State(state): State<AppState>,
    principal: Principal,
) -> Result<Json<WebhookSecret>, Error> {
    let (webhook, secret) = webhooks::rotate_secret_for_tasks(&state.app, principal.account).await?;
    Ok(Json(secret_view(&webhook, secret)))
}
