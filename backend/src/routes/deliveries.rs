//! The log of messages to webhooks and to the `webhook_url` of tasks.

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{DeliveryPath, Principal};
use crate::openapi::problems;
use crate::routes::parameters::{invalid_parameter, parameter};
use api::events::EventJson;
use api::webhooks::{DeliveryList, DeliveryView};
use app::webhooks::{self, PAGE_MAX};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use domain::{DeliveryStatus, TaskId};
use entity::delivery::{self, Page};

problems!(ListProblems: QueryInvalid, TokenMissing, TokenInvalid, TokenExpired, Unavailable);
problems!(ResendProblems: TokenMissing, TokenInvalid, TokenExpired, DeliveryNotFound, WebhookDisabled, Unavailable);

/// A delivery as clients see it. One of the `webhook_url` of a task has no webhook.
pub(super) fn delivery_view(delivery: delivery::Model, has_webhook: bool) -> DeliveryView {
    DeliveryView {
        status: delivery.status(),
        next_attempt_at: delivery.next_attempt_at(),
        id: delivery.id,
        webhook_id: has_webhook.then_some(delivery.endpoint_id),
        task_id: delivery.task_id,
        event_type: delivery.event_type,
        url: delivery.url,
        failures: delivery.failures,
        status_code: delivery.status_code,
        error: delivery.error,
        attempted_at: delivery.attempted_at,
        ended_at: delivery.ended_at,
        created_at: delivery.created_at,
        payload: EventJson(delivery.payload.into_text()),
    }
}

/// Lists deliveries of messages.
///
/// The newest first, for 30 days after their end. Send `next_cursor` as `cursor` to get the next page.
#[utoipa::path(get, operation_id = "list_deliveries", path = "/webhooks/deliveries", tag = "webhooks", params(
        ("webhook_id" = Option<i64>, Query, minimum = 1, description = "Only those to this webhook"),
        ("task_id" = Option<i64>, Query, minimum = 1, description = "Only those about this task"),
        ("status" = Option<DeliveryStatus>, Query, description = "Only those with this status"),
        ("max" = Option<u64>, Query, minimum = 1, description = "Maximum number of deliveries on the page; values above 100 count as 100, which is also the default"),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the previous page")),
    security(("bearer" = [])), responses((status = 200, description = "A page of deliveries", body = DeliveryList), ListProblems))]
pub(crate) async fn list(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<DeliveryList>, Error> {
    let page = webhooks::deliveries(&state.app, principal.account, read(&query)?).await?;
    let view = |(delivery, has_webhook)| delivery_view(delivery, has_webhook);
    Ok(Json(DeliveryList {
        data: page.deliveries.into_iter().map(view).collect(),
        next_cursor: page.next,
    }))
}

/// Sends a message again.
///
/// With the same id and body, at once, and with all attempts. Also for one that was delivered.
#[utoipa::path(post, operation_id = "resend_delivery", path = "/webhooks/deliveries/{id}/resend", tag = "webhooks", params(("id" = String, Path, description = "The id of the message")),
    security(("bearer" = [])), responses((status = 202, description = "The message will be sent", body = DeliveryView), ResendProblems))]
pub(crate) async fn resend(
    State(state): State<AppState>,
    principal: Principal,
    DeliveryPath(id): DeliveryPath,
) -> Result<(StatusCode, Json<DeliveryView>), Error> {
    let (delivery, has_webhook) = webhooks::send_again(&state.app, principal.account, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(delivery_view(delivery, has_webhook))))
}

/// Reads the query.
fn read(query: &[(String, String)]) -> Result<Page, Refusal> {
    let number = |name: &str| {
        let text = parameter(query, name)?;
        let read = |text: &str| {
            let number: Option<i64> = text.parse().ok();
            let number = number.filter(|number| *number >= 1);
            number.ok_or_else(|| invalid_parameter(name, text, "a whole number, 1 or more"))
        };
        text.map(read).transpose()
    };
    let status = parameter(query, "status")?.map(|text| {
        let known = DeliveryStatus::ALL.into_iter().find(|status| status.as_str() == text);
        let accepted = DeliveryStatus::ALL.map(DeliveryStatus::as_str).join(", ");
        known.ok_or_else(|| invalid_parameter("status", text, &accepted))
    });
    let cursor = parameter(query, "cursor")?.map(|text| {
        let id = text.parse::<DeliveryPath>();
        id.map_err(|()| invalid_parameter("cursor", text, "the next_cursor of a page"))
    });
    let max = number("max")?.and_then(|max| u64::try_from(max).ok());
    Ok(Page {
        endpoint: number("webhook_id")?,
        task: number("task_id")?.map(TaskId),
        status: status.transpose()?,
        before: cursor.transpose()?.map(|DeliveryPath(id)| id),
        limit: max.unwrap_or(PAGE_MAX).min(PAGE_MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(name: &str, value: &str) -> Result<Page, String> {
        let query = [(name.to_owned(), value.to_owned())];
        read(&query).map_err(|refusal| refusal.fields[0].name.clone())
    }

    #[test]
    fn a_page_is_bounded_and_its_parameters_are_checked() {
        assert_eq!(page("max", "9999").unwrap().limit, PAGE_MAX);
        assert_eq!(page("max", "1").unwrap().limit, 1);
        assert_eq!(page("webhook_id", "7").unwrap().endpoint, Some(7));
        assert_eq!(page("status", "failed").unwrap().status, Some(DeliveryStatus::Failed));
        let cursor = "msg_0197a6a1c2f17c10a1b2c3d4e5f60718";
        assert_eq!(page("cursor", cursor).unwrap().before.as_deref(), Some(cursor));
        for (name, value) in [
            ("max", "0"),
            ("max", "x"),
            ("webhook_id", "-1"),
            ("task_id", "a"),
            ("status", "sent"),
            ("cursor", "msg_\0"),
        ] {
            assert_eq!(page(name, value).err().as_deref(), Some(name), "{value}");
        }
    }
}
