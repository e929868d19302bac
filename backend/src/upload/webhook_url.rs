//! The URL for the events of a new task, which each way to create one accepts.

use crate::AppState;
use crate::error::Refusal;
use app::webhooks::WebhookUrl;

/// Checks the URL. An empty one counts as absent.
///
/// # Errors
/// `webhook_url_invalid`, `webhook_url_forbidden`.
pub(crate) fn webhook_url(state: &AppState, url: Option<String>) -> Result<Option<WebhookUrl>, Refusal> {
    let url = url.filter(|url| !url.trim().is_empty());
    url.map(|url| WebhookUrl::parse(&state.app.settings.outbound, "webhook_url", &url))
        .transpose()
}
