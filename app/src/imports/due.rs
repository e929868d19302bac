//! An import that a worker works on, and the outcomes of its steps and rows.

use crate::app::Core;
use crate::{Error, Refusal};
use domain::Code;
use domain::manifest::RowError;
use entity::import::{self, ImportLease};
use entity::import_row::Ended;
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use uuid::Uuid;

/// An import that is due, held by this process. Dropping it leaves it to another process when its lease has ended.
pub struct DueImport {
    pub(super) app: Core,
    pub(super) lease: ImportLease,
    pub(super) import: import::Model,
}

/// The reason for which a step ended early.
pub(super) enum Failure {
    /// The file is no manifest, or a damaged one.
    File(Refusal),
    /// The import was canceled, or another worker has it.
    Lost,
    /// The process shuts down.
    Stopped,
    /// An error on our side.
    Ours(Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Ours(error.into())
    }
}

/// Runs a part of a step. A panic in it is an error of ours, which is counted, so it does not repeat without an end.
pub(super) async fn caught<T, E: From<anyhow::Error>>(part: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    // What it has changed is in the database: all or nothing of a transaction.
    let ended = AssertUnwindSafe(part).catch_unwind().await;
    ended.unwrap_or_else(|_| Err(anyhow::anyhow!("a step of an import panicked").into()))
}

/// Takes the import that waits longest. `None` if no import is due.
///
/// # Errors
/// Errors of the database.
pub async fn take_due(app: &Core) -> Result<Option<DueImport>, Error> {
    let holder = Uuid::new_v4().to_string();
    let taken = app.with_timeout(import::take_due(&app.db, &holder)).await?;
    let app = app.clone();
    Ok(taken.map(|(lease, import)| DueImport { app, lease, import }))
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Rows have ended, and the next ones may begin.
    Some,
    /// Nothing can be done before files have arrived.
    Waits,
}

impl Progress {
    /// The result of a step that has ended this number of rows.
    pub(super) const fn of(rows: u64) -> Self {
        if rows > 0 { Self::Some } else { Self::Waits }
    }
}

/// The failure of an import whose file is gone, as after the restoration of a backup without files.
pub(super) fn file_gone() -> Failure {
    Failure::File(Refusal::new(Code::UploadNotFound).detail("the file of the import is not stored any more"))
}

/// The refusal of a row that is not valid.
pub(super) fn of_row(error: RowError) -> Refusal {
    Refusal::new(error.code)
        .field(error.field, error.code)
        .detail(error.detail)
}

/// The end of a row that was refused.
pub(super) fn refused(refusal: &Refusal) -> Ended {
    let field = refusal.fields.first().map(|field| field.name.clone());
    Ended {
        field: field.filter(|field| !field.is_empty()),
        code: Some(refusal.code.as_str().to_owned()),
        detail: refusal.detail.clone(),
        ..Ended::default()
    }
}
