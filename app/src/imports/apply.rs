//! Lets rows have their effect, some at a time.

use super::due::{DueImport, Failure, Progress, caught, of_row, refused};
use super::{changes, load};
use crate::app::Core;
use crate::idempotency::{Fingerprint, KeyGuard};
use crate::recipe_choice::RecipeChoice;
use crate::uploads::fetched::{self, NewFetch};
use crate::uploads::{File, ImportedVideo, Upload, finish};
use crate::{Error, Refusal};
use domain::manifest::{Choice, Kind, RowStatus, Source, read_video};
use domain::{Code, UploadStatus, UserId};
use entity::import::Status;
use entity::import_row::{self, Ended, State};
use entity::{Json, fetch, upload};
use tokio_util::sync::CancellationToken;

/// Rows of one import whose files are fetched at the same time. A worker fetches few files of an account at once; the
/// others wait here, without a row in `uploads`.
pub(super) const MAX_WORKING: u64 = 32;
/// Rows of a dry run that end in one transaction.
const DRY_ROWS: u64 = 1_000;
/// Steps that failed in a row after which the row that fails ends with its error.
const MAX_FAILURES: i32 = 5;

/// Lets the next rows have their effect. Rows of videos after the row `up_to` have to be looked up first.
pub(super) async fn run(
    app: &Core,
    due: &DueImport,
    up_to: i64,
    stop: &CancellationToken,
) -> Result<Progress, Failure> {
    if due.import.kind == Kind::Metadata.to_string() {
        return changes::run(app, due).await;
    }
    if let Some(progress) = load::run(app, due).await? {
        return Ok(progress);
    }
    let working = settle(app, due).await?;
    if matches!(due.import.status, Status::Canceled | Status::Failed) {
        return Ok(Progress::Waits);
    }
    if due.import.is_dry_run {
        return end_dry(app, due, up_to).await;
    }
    let free = MAX_WORKING.saturating_sub(working);
    let pending = app.with_timeout(import_row::pending(&app.db, due.import.id, up_to, free));
    let pending = pending.await?;
    for row in pending {
        if stop.is_cancelled() {
            return Err(Failure::Stopped);
        }
        app.with_timeout(due.lease.renew(&app.db))
            .await?
            .then_some(())
            .ok_or(Failure::Lost)?;
        if !begin(app, due, row).await? {
            break;
        }
    }
    Ok(Progress::Waits)
}

/// Ends rows whose file could not be fetched. A row whose file has become a task has ended with it. Returns the number
/// of rows that are being fetched.
async fn settle(app: &Core, due: &DueImport) -> Result<u64, Failure> {
    let (user, import) = (due.import.owner(), due.import.id);
    let rows = app.with_timeout(import_row::in_state(&app.db, import, State::Working, MAX_WORKING));
    let mut working = 0;
    for row in rows.await? {
        match app.with_timeout(Box::pin(outcome_of(app, user, &row))).await? {
            Some(Ok(task)) => {
                let ended = Ended {
                    task_id: Some(task),
                    ..Ended::default()
                };
                end_with(app, &row, RowStatus::Working, RowStatus::Created, ended).await?;
            }
            Some(Err(refusal)) => {
                end_with(app, &row, RowStatus::Working, RowStatus::Error, refused(&refusal)).await?;
            }
            None => working += 1,
        }
    }
    Ok(working)
}

/// The end of a row whose file was fetched: the task that another request has created of it, or the reason for which it
/// will not become one. `None` while it is fetched.
async fn outcome_of(app: &Core, user: UserId, row: &import_row::Model) -> Result<Option<Result<i64, Refusal>>, Error> {
    let id = row.upload_id.as_deref().unwrap_or_default();
    let Some(upload) = upload::of_user(&app.db, user, id).await? else {
        let refusal = Refusal::new(Code::UploadNotFound).detail("the upload was removed");
        return Ok(Some(Err(refusal)));
    };
    if let Some(task) = upload.task_id {
        return Ok(Some(Ok(task)));
    }
    let fetch = fetch::of_upload(&app.db, id).await?;
    if upload.status(fetch.as_ref()) != UploadStatus::Failed {
        return Ok(None);
    }
    let of_fetch = fetch.map(|fetch| (fetch.error_code, fetch.error_detail));
    let (code, detail) = of_fetch.unwrap_or((upload.error_code, upload.error_detail));
    let code = code.and_then(|code| Code::ALL.iter().find(|known| known.as_str() == code).copied());
    let refusal = Refusal::new(code.unwrap_or(Code::Internal));
    Ok(Some(Err(of_url(refusal.detail(detail.unwrap_or_default())))))
}

/// The refusal of the address of a row, with its field.
fn of_url(refusal: Refusal) -> Refusal {
    let code = refusal.code;
    if refusal.fields.is_empty() && code.as_str().starts_with("source_url") {
        return refusal.field("source_url", code);
    }
    refusal
}

/// Begins a row. Returns `false` if no other row can begin now.
async fn begin(app: &Core, due: &DueImport, row: import_row::Model) -> Result<bool, Failure> {
    let (refusal, is_ours) = match caught(Box::pin(create(app, due.import.owner(), &row))).await {
        Ok(()) => return Ok(true),
        Err(Error::Client(refusal)) if refusal.code == Code::SealingUnavailable => (refusal, false),
        Err(Error::Client(refusal)) if refusal.is_transient() || refusal.code == Code::UploadsTooMany => {
            return Ok(false);
        }
        Err(Error::Client(refusal)) => (refusal, false),
        Err(error) if due.import.failures < MAX_FAILURES => return Err(error.into()),
        Err(error) => {
            tracing::error!(
                import = due.import.id,
                row = row.row,
                ?error,
                "a row of an import failed"
            );
            (Refusal::new(Code::Internal), true)
        }
    };
    end_with(app, &row, RowStatus::Pending, RowStatus::Error, refused(&refusal)).await?;
    // After an error of ours, the next row waits for the next step: the cause may be the same.
    Ok(!is_ours)
}

/// Creates what a row asks for: a fetched upload, or a task of an upload that is complete.
async fn create(app: &Core, user: UserId, row: &import_row::Model) -> Result<(), Error> {
    let fields = row
        .fields
        .as_ref()
        .and_then(Json::as_object)
        .cloned()
        .unwrap_or_default();
    let video = read_video(&fields).map_err(of_row)?;
    let choice = match video.choice {
        Choice::Default => RecipeChoice::Default,
        Choice::Preset(name) => app.with_timeout(RecipeChoice::preset(app, user, &name)).await?,
        Choice::Recipe(recipe) => RecipeChoice::Own(*recipe),
    };
    match video.source {
        Some(Source::Url(url)) => {
            let new = NewFetch {
                url,
                choice,
                row: Some(row.clone()),
                ..NewFetch::default()
            };
            let created = fetched::create(app, user, new, KeyGuard::default(), |_| ()).await;
            created.map_err(|error| match error {
                Error::Client(refusal) => of_url(refusal).into(),
                error @ Error::Internal(_) => error,
            })
        }
        Some(Source::Upload(id)) => {
            let upload = Upload {
                file: File::Upload(id),
                choice,
                webhook_url: None,
                fingerprint: Fingerprint::default(),
                imported: Some(ImportedVideo::new(row.clone(), video.details, video.location)),
            };
            finish(app, user, upload, KeyGuard::default(), |_, _| ()).await
        }
        None => Err(Code::SourceMissing.into()),
    }
}

/// Ends a row, unless it has ended.
async fn end_with(
    app: &Core,
    row: &import_row::Model,
    from: RowStatus,
    to: RowStatus,
    ended: Ended,
) -> Result<(), Error> {
    let written = entity::write(&app.db, async |db| import_row::end(db, row, from, to, ended).await);
    app.with_timeout(written).await?;
    Ok(())
}

/// Ends rows of a dry run, which were checked when they were read.
async fn end_dry(app: &Core, due: &DueImport, up_to: i64) -> Result<Progress, Failure> {
    let (lease, id) = (&due.lease, due.import.id);
    let written = entity::write(&app.db, async |db| {
        let ended = import_row::end_pending(db, id, RowStatus::Created, up_to, DRY_ROWS).await?;
        let is_held = lease
            .add(db, RowStatus::Pending, &[(RowStatus::Created, ended)])
            .await?;
        is_held.then_some(ended).ok_or(Failure::Lost)
    });
    let ended = app.with_timeout(written).await?;
    Ok(Progress::of(ended))
}
