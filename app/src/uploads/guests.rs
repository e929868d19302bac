//! Tasks of files that guests have sent. A guest makes no request for the task: it is created when the last byte is
//! stored, in the request with this byte, in one that asks for the offset, or by a worker ([`finish_received`]).
//!
//! All end in [`finish`], which hands an upload over once. An error that would come again is recorded with the upload,
//! with an event for the owner.

use super::{File, Upload, finish};
use crate::app::Core;
use crate::idempotency::{Fingerprint, KeyGuard};
use crate::recipe_choice::RecipeChoice;
use crate::{Error, Refusal};
use domain::{Code, EventType, UserId};
use entity::event::{self, New as Event};
use entity::{guest_link, upload};

/// Number of uploads for which a worker creates tasks in one round.
const BATCH: u64 = 16;

/// Returns `true` if a guest's file is received and is no task yet.
pub(super) fn awaits_task(row: &upload::Model) -> bool {
    row.guest_link_id.is_some() && row.is_received() && row.task_id.is_none() && row.error_code.is_none()
}

/// Creates the task of a guest's file if it is received. Other uploads stay as they are.
///
/// # Errors
/// Those of [`finish`], without their details: these are for the owner, and name images and credentials of the account.
/// `guest_link_not_found` when the link was removed, `guest_link_revoked`.
pub(super) async fn create_task(app: &Core, row: &upload::Model) -> Result<(), Error> {
    let Some(id) = row.guest_link_id else { return Ok(()) };
    if let Some(code) = row.error_code.as_deref().and_then(Code::from_word) {
        return Err(code.into());
    }
    if !awaits_task(row) {
        return Ok(());
    }
    let Some(link) = app.with_timeout(guest_link::by_id(&app.db, id)).await? else {
        let removed = Refusal::new(Code::GuestLinkNotFound);
        fail(app, &row.id, &removed).await?;
        let expired = entity::write(&app.db, async |db| upload::expire_of_guests(db, id).await);
        app.with_timeout(expired).await?;
        return Err(removed.into());
    };
    if link.revoked {
        // If the link is allowed again, a worker creates the task.
        return Err(Code::GuestLinkRevoked.into());
    }
    let upload = Upload {
        file: File::Upload(row.id.clone()),
        choice: RecipeChoice::stored(link.preset, link.recipe)?,
        webhook_url: None,
        fingerprint: Fingerprint::default(),
        imported: None,
    };
    let created = finish(app, UserId(row.user_id), upload, KeyGuard::default(), |_, _| ());
    let Err(error) = created.await else { return Ok(()) };
    match &error {
        // A worker and a request meet: the task exists.
        Error::Client(refusal) if refusal.code == Code::UploadUsed => return Ok(()),
        // The upload itself may have been removed.
        Error::Client(refusal) if refusal.is_transient() || refusal.code == Code::UploadNotFound => {}
        Error::Client(refusal) => {
            fail(app, &row.id, refusal).await?;
            return Err(refusal.code.into());
        }
        Error::Internal(_) => {}
    }
    Err(error)
}

async fn fail(app: &Core, id: &str, refusal: &Refusal) -> Result<(), Error> {
    let (code, detail) = (refusal.code.as_str(), refusal.detail.as_deref().unwrap_or_default());
    let failed = entity::write(&app.db, async |db| {
        if upload::fail(db, id, code, detail).await? {
            event::append(db, vec![Event::of_upload(db, EventType::UploadFailed, id).await?]).await?;
        }
        Ok::<_, Error>(())
    });
    app.with_timeout(failed).await
}

/// Creates the tasks of received files that have none, because the process that received them ended or the database was
/// away.
///
/// # Errors
/// Errors of the database.
pub async fn finish_received(app: &Core) -> Result<(), Error> {
    let rows = upload::received_from_guests(&app.db, BATCH);
    for row in app.with_timeout(rows).await? {
        if let Err(error) = create_task(app, &row).await {
            tracing::warn!(upload = row.id, ?error, "failed to create the task of a guest's file");
        }
    }
    Ok(())
}
