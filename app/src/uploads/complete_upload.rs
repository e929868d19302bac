//! A complete upload, taken over to become a task or an import.

use super::session::Session;
use crate::app::Core;
use crate::{Error, Refusal};
use domain::{Code, UploadPurpose, UserId};
use entity::upload;

/// Takes over an upload, and completes it if its last request could not.
///
/// # Errors
/// `upload_not_found`, `upload_unfinished`, `upload_used`, `upload_purpose_wrong`, `upload_interrupted`; `not_media`
/// for a video that is none; errors of the storage and the database.
pub(super) async fn take(app: &Core, user: UserId, id: &str, purpose: UploadPurpose) -> Result<Session, Error> {
    // Before it is taken, so that a request that still sends goes on.
    let found = app.with_timeout(upload::of_user(&app.db, user, id)).await?;
    check_ready(&found.ok_or(Code::UploadNotFound)?, purpose)?;
    let mut session = Session::take_over(app, &user.into(), id, |_| true).await?;
    let ready = match check_ready(&session.row, purpose) {
        Ok(()) => complete(&mut session).await,
        Err(refusal) => Err(refusal.into()),
    };
    match ready {
        Ok(()) => Ok(session),
        Err(error) => {
            session.release().await;
            Err(error)
        }
    }
}

/// Completes an upload, and checks that its file is there: a restored backup has rows of uploads, but not their files.
async fn complete(session: &mut Session) -> Result<(), Error> {
    session.complete().await?;
    let position = session.position()?;
    let bytes = session.app.storage.head(&position.key).await?;
    (bytes == Some(position.bytes))
        .then_some(())
        .ok_or_else(|| Code::UploadNotFound.into())
}

/// Checks that all bytes of an upload are there, that they are what is needed, and that it has no task.
fn check_ready(upload: &upload::Model, purpose: UploadPurpose) -> Result<(), Refusal> {
    if let Some(task) = upload.task_id {
        return Err(Refusal::new(Code::UploadUsed).detail(format!("task {task}")));
    }
    let given = UploadPurpose::from(upload.purpose);
    if given != purpose {
        let detail = format!("{}; accepted: {}", given.as_str(), purpose.as_str());
        return Err(Refusal::new(Code::UploadPurposeWrong).detail(detail));
    }
    if upload.is_received() {
        return Ok(());
    }
    let received = upload.received();
    let detail = match upload.length() {
        Some(length) => format!("{received} of {length} bytes"),
        None => format!("{received} bytes; the length is not known yet"),
    };
    Err(Refusal::new(Code::UploadUnfinished).detail(detail))
}
