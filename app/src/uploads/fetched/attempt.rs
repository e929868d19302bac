//! One attempt to fetch the file of an upload.

use super::pace::Pace;
use super::request::Request;
use crate::app::Core;
use crate::idempotency::{Fingerprint, KeyGuard};
use crate::recipe_choice::RecipeChoice;
use crate::uploads::receive::{Patch, append};
use crate::uploads::session::{Session, interrupted};
use crate::uploads::{File, ImportedVideo, Upload, finish};
use crate::webhooks::WebhookUrl;
use crate::{Error, Refusal};
use bytes::Bytes;
use domain::{Code, EventType, UserId};
use entity::event::{self, New as Event};
use entity::fetch::{self, Postponed};
use entity::import_row;
use futures::{Stream, stream};
use outbound::{Client, Download, Get, Headers, Limits, Resume, Target, Validator};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

/// Number of due fetches that are read at once. Another process may take some of them first.
const CANDIDATES: u64 = 16;
/// Number of fetches of one account that are in progress at the same time, over all workers.
const MAX_RUNNING: u32 = 4;
/// Attempts in a row that got no further after which a fetch fails.
const MAX_FAILURES: i32 = 12;
/// First pause between two attempts; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_mins(10);
/// Time for which no process takes a fetch whose upload another request asks for.
const TAKEN_PAUSE: Duration = Duration::from_secs(5);
/// Time for which no other process takes a fetch whose file is complete, while this one creates the task.
const CREATE_TIMEOUT: Duration = Duration::from_mins(1);
/// Interval in which the lease of the upload is renewed while the host has not answered.
const RENEW_EVERY: Duration = Duration::from_secs(5);
const FIRST_BYTE: Duration = Duration::from_secs(60);
const STALL: Duration = Duration::from_secs(60);

/// The reason for which an attempt has ended without a task.
enum Failure {
    /// An error of the host or of its URL.
    Remote(outbound::Error),
    /// The deadline is over.
    Late,
    /// An error on our side, or of the file.
    Ours(Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Ours(error.into())
    }
}

/// A fetch that is due, held by this process. Dropping it leaves it to another process when its lease has ended.
pub struct DueFetch {
    session: Session,
    user: UserId,
}

/// The means of an attempt.
#[derive(Clone, Copy)]
struct Means<'a> {
    /// The account of the upload.
    user: UserId,
    client: &'a Client,
    /// The process shuts down: store the received bytes and release the upload.
    stop: &'a CancellationToken,
}

/// Takes a fetch that is due. `None` if there is none.
///
/// # Errors
/// Errors of the database.
pub async fn take_due(app: &Core) -> Result<Option<DueFetch>, Error> {
    for (id, user) in app.with_timeout(fetch::due(&app.db, CANDIDATES, MAX_RUNNING)).await? {
        if let Some(session) = Session::take_free(app, &id).await? {
            return Ok(Some(DueFetch { session, user }));
        }
    }
    Ok(None)
}

impl DueFetch {
    /// Makes an attempt, and ends it early with `stop`: then the next attempt goes on from there, at once.
    ///
    /// # Errors
    /// Errors of the database before and after the attempt. The fetch is due again later.
    pub async fn attempt(self, client: &Client, stop: &CancellationToken) -> Result<(), Error> {
        let user = self.user;
        Box::pin(run(self.session, Means { user, client, stop })).await
    }
}

async fn run(mut session: Session, means: Means<'_>) -> Result<(), Error> {
    let (app, id) = (session.app.clone(), session.row.id.clone());
    let fetch = match app.with_timeout(fetch::of_upload(&app.db, &id)).await {
        Ok(Some(fetch)) => fetch,
        other => {
            session.release().await;
            return Ok(other.map(drop)?);
        }
    };
    let received = receive(&mut session, &fetch, means).await;
    let created = match received {
        Ok(()) => {
            let postponed = postpone(&session, &fetch, fetch.failures, CREATE_TIMEOUT).await;
            // The use case takes the upload itself.
            session.release().await;
            postponed?;
            create_task(&app, means.user, &fetch).await
        }
        Err(failure) => {
            let settled = match failure {
                // Another process goes on at once.
                Failure::Ours(_) if means.stop.is_cancelled() => Ok(()),
                failure => settle(&session, &fetch, failure).await,
            };
            session.release().await;
            return settled;
        }
    };
    let Err(failure) = created else { return Ok(()) };
    let Some(session) = Session::take_free(&app, &id).await? else {
        return Ok(());
    };
    let settled = settle(&session, &fetch, Failure::Ours(failure)).await;
    session.release().await;
    settled
}

async fn create_task(app: &Core, user: UserId, fetch: &fetch::Model) -> Result<(), Error> {
    let row = app
        .with_timeout(import_row::of_upload(&app.db, &fetch.upload_id))
        .await?;
    let upload = Upload {
        file: File::Upload(fetch.upload_id.clone()),
        choice: RecipeChoice::stored(fetch.preset.clone(), fetch.recipe.clone())?,
        webhook_url: fetch.webhook_url.clone().map(WebhookUrl::from_stored),
        fingerprint: Fingerprint::default(),
        imported: row.map(ImportedVideo::fetched).transpose()?,
    };
    finish(app, user, upload, KeyGuard::default(), |_, _| ()).await
}

/// Receives the rest of the file, and completes the upload with its last byte.
async fn receive(session: &mut Session, fetch: &fetch::Model, means: Means<'_>) -> Result<(), Failure> {
    if session.row.is_received() {
        return Ok(session.complete().await?);
    }
    let app = session.app.clone();
    let whole = app.with_timeout(fetch::remaining(&app.db, &fetch.upload_id)).await?;
    if whole.is_zero() {
        return Err(Failure::Late);
    }
    let limits = Limits {
        first_byte: FIRST_BYTE,
        stall: STALL,
        whole,
        max_bytes: app.settings.limits.max_upload_bytes,
    };
    let get = request(session, fetch, means)?;
    let download = while_held(session, means.stop, means.client.get(&get, limits)).await?;
    let download = download.map_err(Failure::Remote)?;
    if download.total_bytes() == Some(0) {
        return Err(Code::FileEmpty.into());
    }
    let (received, total) = (session.row.received(), download.total_bytes());
    let has_other_length = session.row.length().is_some_and(|length| Some(length) != total);
    if download.first_byte() > 0 && has_other_length {
        return Err(Failure::Remote(outbound::Error::Changed));
    }
    if download.first_byte() != received || has_other_length {
        session.begin_again().await?;
    }
    let validator = download.validator().and_then(Validator::as_str);
    session.set_validator(validator).await?;
    let patch = Patch {
        offset: session.row.received(),
        length: total,
        ..Patch::default()
    };
    let lost = Arc::default();
    let appended = append(session, patch, pieces(download, Arc::clone(&lost), means.stop)).await;
    if let Err(error) = appended {
        let remote = lost.lock().unwrap_or_else(PoisonError::into_inner).take();
        return Err(remote.map_or(Failure::Ours(error), Failure::Remote));
    }
    if session.row.length().is_none() {
        // The end of the body is the end of the file.
        let offset = session.row.received();
        if offset == 0 {
            return Err(Code::FileEmpty.into());
        }
        let patch = Patch {
            offset,
            length: Some(offset),
            ..Patch::default()
        };
        append(session, patch, stream::empty()).await?;
    }
    Ok(())
}

/// Renews the lease until a future ends, or the process shuts down.
async fn while_held<T>(
    session: &Session,
    stop: &CancellationToken,
    future: impl Future<Output = T>,
) -> Result<T, Error> {
    let (mut future, mut renewal) = (pin!(future), interval(RENEW_EVERY));
    loop {
        tokio::select! {
            done = &mut future => return Ok(done),
            () = stop.cancelled() => return Err(interrupted()),
            _ = renewal.tick() => session.renew().await?,
        }
    }
}

/// The request for what is missing.
fn request(session: &Session, fetch: &fetch::Model, means: Means<'_>) -> Result<Get, Failure> {
    let request = Request::open(&session.app, means.user, &fetch.request)?;
    let pairs = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let received = session.row.received();
    let validator = fetch.validator.as_deref().and_then(Validator::parse);
    Ok(Get {
        // Checked again, because the setting may have changed.
        target: Target::parse(means.client.policy(), &request.url).map_err(Failure::Remote)?,
        headers: Headers::parse(pairs).map_err(Failure::Remote)?,
        resume: validator.filter(|_| received > 0).map(|validator| Resume {
            from_byte: received,
            validator,
        }),
    })
}

/// The pieces of a body, until the process shuts down. An error is kept in `lost`.
fn pieces(
    download: Download,
    lost: Arc<Mutex<Option<outbound::Error>>>,
    stop: &CancellationToken,
) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    stream::unfold(Some((download, Pace::begin())), move |state| {
        let lost = Arc::clone(&lost);
        async move {
            let (mut download, mut pace) = state?;
            let Some(piece) = stop.run_until_cancelled(download.piece()).await else {
                return Some((Err(interrupted()), None));
            };
            let bytes = |piece: &Option<Bytes>| piece.as_ref().map_or(0, Bytes::len);
            match piece.and_then(|piece| pace.add(bytes(&piece)).map(|()| piece)) {
                Ok(piece) => piece.map(|piece| (Ok(piece), Some((download, pace)))),
                Err(error) => {
                    let refused = super::refusal(&error).into();
                    *lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    Some((Err(refused), None))
                }
            }
        }
    })
}

/// Records the end of an attempt: the time of the next one, or the error that ends the fetch.
async fn settle(session: &Session, fetch: &fetch::Model, failure: Failure) -> Result<(), Error> {
    let has_progress = session.row.received_bytes > fetch.most_bytes;
    let failures = if has_progress { 1 } else { fetch.failures + 1 };
    let (refused, may_pass, wanted_pause) = match failure {
        Failure::Late => (
            Refusal::new(Code::SourceUrlUnreachable).detail("not finished in time"),
            false,
            None,
        ),
        Failure::Remote(error) => {
            if matches!(error, outbound::Error::Changed) {
                session.set_validator(None).await?;
            }
            let pause = match error {
                outbound::Error::Status { retry_after, .. } => retry_after,
                _ => None,
            };
            (super::refusal(&error), error.is_transient(), pause)
        }
        // Another request asks for the upload, such as its removal. It gets the time to take it.
        Failure::Ours(Error::Client(refusal)) if is_taken(refusal.code) => {
            return postpone(session, fetch, fetch.failures, TAKEN_PAUSE).await;
        }
        Failure::Ours(Error::Client(refusal)) => {
            // Another worker may have the key.
            let passes = refusal.is_transient();
            (refusal, passes, None)
        }
        Failure::Ours(Error::Internal(error)) => {
            tracing::error!(
                upload = fetch.upload_id,
                error = format!("{error:#}"),
                "failed to fetch a file"
            );
            (Refusal::new(Code::Internal), true, None)
        }
    };
    let code = refused.code.as_str();
    tracing::info!(
        upload = fetch.upload_id,
        code,
        failures,
        "an attempt to fetch a file failed"
    );
    if may_pass && failures < MAX_FAILURES {
        let doubled = PAUSE * 2_u32.saturating_pow(failures.unsigned_abs() - 1);
        let delay = wanted_pause.unwrap_or_default().max(doubled).min(PAUSE_MAX);
        postpone(session, fetch, failures, delay).await
    } else {
        fail(session, &refused).await
    }
}

/// Sets the time of the next attempt.
async fn postpone(session: &Session, fetch: &fetch::Model, failures: i32, delay: Duration) -> Result<(), Error> {
    let postponed = Postponed {
        most_bytes: fetch.most_bytes.max(session.row.received_bytes),
        failures,
        delay,
    };
    let postponed = session.lease.postpone_fetch(&session.app.db, postponed);
    session.app.with_timeout(postponed).await?;
    Ok(())
}

/// Ends the fetch, with an event, and removes what was received.
async fn fail(session: &Session, refused: &Refusal) -> Result<(), Error> {
    let (app, lease) = (&session.app, &session.lease);
    let detail = refused.detail.as_deref().unwrap_or_default();
    let failed = entity::write(&app.db, async |db| {
        if lease.fail_fetch(db, refused.code.as_str(), detail).await? {
            let failed = Event::of_upload(db, EventType::UploadFailed, &session.row.id).await?;
            event::append(db, vec![failed]).await?;
            session.list_files(db).await?;
        }
        Ok::<_, Error>(())
    });
    app.with_timeout(failed).await?;
    session.remove_files().await;
    Ok(())
}

const fn is_taken(code: Code) -> bool {
    matches!(code, Code::UploadInterrupted | Code::UploadUsed)
}
