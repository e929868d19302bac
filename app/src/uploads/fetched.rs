//! Fetched uploads: a worker downloads the file from a URL that the user gave (import by URL).
//!
//! *Problem.* The file of a user is on another host. The download may take hours, the host and the worker may fail in
//! between, and the URL may be an attack on the network of the service. The user wants to see how far it is, and why it
//! failed.
//!
//! *Mechanism.* [`create`] checks the URL, the headers and the recipe, and inserts an upload with a fetch
//! (`entity::fetch`) in one transaction, with the reply for the idempotency key. No bytes move yet: `POST /api/tasks`
//! with a `source_url` answers 202 with the id of the upload. Workers take a fetch that is due by the lease of its
//! upload ([`take_due`]) and make one attempt ([`DueFetch::attempt`]):
//!
//! 1. Ask for the file with `outbound`, the only client for such URLs. If bytes were received before, ask for the rest
//!    of the same version of the file, by the validator that is stored with them.
//! 2. If the host sends the whole file instead, the upload begins again with a new storage object: another process that
//!    was replaced may still write to the old one.
//! 3. Append the body as a request of a client would: durable checkpoints, the format checked by the first bytes, the
//!    hash continued. A `DELETE` of the upload by the user ends the attempt within a second, because it asks for the
//!    lease.
//! 4. Complete the upload, then [`finish`](super::finish): the use case in which each way in ends. It hands the upload
//!    over once, so an attempt that is repeated after a kill makes no second task.
//!
//! An attempt that fails is repeated after a growing pause if the error may pass ([`outbound::Error::is_transient`]).
//! The number of attempts counts those in a row that got no further. All end with the deadline of the fetch. An
//! account has a bounded number of attempts in progress, and one that is too slow ends early, so that hosts that send a
//! byte a minute do not take the places of others. An error that ends the fetch is stored with a code
//! `source_url_…`.
//!
//! *Status.* It follows from the two rows ([`upload::Model::status`]), with the received and the total bytes. A failure
//! is also an event, in the transaction that ends the fetch.
//!
//! *Invariants.* The validator is stored before the first byte that came with it. FFmpeg never gets a URL. URL and
//! headers are in no log and in no debug output, are encrypted in the database, and are removed when the fetch has
//! ended.
//!
//! *Rejected.* A task without a source that waits for its file: each query about tasks would have to know it. A
//! download in the request: it would end with the connection of the client. A queue of its own: a due fetch is found by
//! a query, as due tasks are.

mod attempt;
mod pace;
mod request;

pub use attempt::{DueFetch, take_due};

use super::limits::FETCH_TIMEOUT;
use super::resumable;
use crate::app::Core;
use crate::idempotency::{Fingerprint, KeyGuard};
use crate::recipe_choice::{RecipeChoice, check_names};
use crate::webhooks::{WebhookUrl, ensure_for_tasks};
use crate::{Error, Refusal};
use anyhow::Context as _;
use domain::{Code, UserId};
use entity::{fetch, import_row, upload};
use outbound::{Headers, Target};
use request::Request;
use serde::Serialize;

/// A file that a worker shall fetch.
#[derive(Clone, Default)]
pub struct NewFetch {
    /// The URL.
    pub url: String,
    /// Headers for its host: names and values.
    pub headers: Vec<(String, String)>,
    /// The name of the file; by default that in the URL.
    pub file_name: Option<String>,
    /// The recipe to use.
    pub choice: RecipeChoice,
    /// The URL that gets the events of the task, and the failure of the fetch.
    pub webhook_url: Option<WebhookUrl>,
    /// The hash of the request, for its idempotency key.
    pub fingerprint: Fingerprint,
    /// The row of an import that asks for the file.
    pub row: Option<import_row::Model>,
}

/// Creates an upload that a worker will fetch.
///
/// # Errors
/// `source_url_invalid`, `source_url_forbidden`, `source_headers_invalid`; `recipe_invalid`; those of
/// [`resumable::create`].
pub async fn create<R: Serialize + Send + Sync + 'static>(
    app: &Core,
    user: UserId,
    new: NewFetch,
    guard: KeyGuard,
    reply: fn(&upload::Model) -> R,
) -> Result<R, Error> {
    let target = Target::parse(&app.settings.outbound, &new.url).map_err(|error| refusal(&error))?;
    let pairs = new.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Headers::parse(pairs).map_err(|error| refusal(&error))?;
    let resolved = new.choice.resolve(&app.settings.default_preset)?;
    app.with_timeout(check_names(&app.db, user, &resolved.recipe)).await?;
    if new.webhook_url.is_some() {
        // Not in the transaction below: a secret that no message needs does no harm.
        app.with_timeout(ensure_for_tasks(app, &app.db, user)).await?;
    }
    let request = Request {
        url: new.url,
        headers: new.headers,
    };
    let fetch = fetch::New {
        request: request.seal(app, user)?,
        preset: resolved.preset,
        recipe: serde_json::to_value(resolved.recipe).context("failed to serialize a recipe")?,
        webhook_url: new.webhook_url.map(WebhookUrl::into_string),
        timeout: FETCH_TIMEOUT,
    };
    let upload = resumable::New {
        file_name: new.file_name.unwrap_or_else(|| target.file_name()),
        fetch: Some(fetch),
        fingerprint: new.fingerprint,
        row: new.row,
        ..resumable::New::default()
    };
    resumable::create(app, &user.into(), upload, guard, reply).await
}

/// The refusal with an error of the client for URLs.
fn refusal(error: &outbound::Error) -> Refusal {
    Refusal::new(code(error)).detail(error.to_string())
}

/// The code of an error of the client for URLs.
fn code(error: &outbound::Error) -> Code {
    use outbound::Error as E;
    match error {
        E::Invalid | E::Scheme | E::Credentials => Code::SourceUrlInvalid,
        E::Header { .. } => Code::SourceHeadersInvalid,
        E::Address { .. } => Code::SourceUrlForbidden,
        E::Lookup | E::Connect | E::Cut | E::Timeout(_) => Code::SourceUrlUnreachable,
        E::Tls { .. } => Code::SourceUrlTls,
        E::Redirects | E::Location | E::Downgrade => Code::SourceUrlRedirect,
        E::Status { .. } => Code::SourceUrlStatus,
        E::Protocol | E::Headers | E::Encoding | E::Range => Code::SourceUrlReply,
        E::TooLarge { .. } => Code::UploadTooLarge,
        E::Changed => Code::SourceUrlChanged,
    }
}
