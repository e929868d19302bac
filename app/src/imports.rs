//! Imports: many videos, or changes of many videos, from one manifest. `entity::import` has the theory of operation.
//!
//! [`create`] stores the file and inserts the import. Workers take it for a step at a time ([`take_due`],
//! [`DueImport::step`]): `stage.rs` copies the rows of the file into the database, `apply.rs` lets them have their
//! effect.
//!
//! A row of `kind=videos` with a `source_url` becomes a fetched upload ([`crate::uploads::fetched`]), and its task is
//! created in the transaction that ends the row. A bounded number of rows of an import are fetched at the
//! same time.

mod apply;
mod changes;
mod create;
mod due;
mod ending;
mod geometry;
mod load;
mod lookup;
mod retention;
mod sheet;
mod stage;
mod step;
mod watch;
mod watchers;

pub use create::{Begun, Lookup, NewImport, Options, Target, create, store};
pub use due::{DueImport, take_due};
pub use entity::import::Model as Import;
pub use lookup::forget_some as forget_some_lookups;
pub use retention::{remove, remove_some};
pub use watch::{Watch, watch};
pub(crate) use watchers::Watchers;

use crate::Error;
use crate::app::Core;
use domain::{Code, UserId};
use entity::import_row::Filter;
use entity::{import, import_row};

/// Maximum size of a manifest as it is sent, in bytes.
pub const MAX_MANIFEST_BYTES: u64 = 2 << 30;

/// Errors of rows that may pass: a retry of an import tries these rows again.
const RETRYABLE: [Code; 16] = [
    Code::SourceUrlUnreachable,
    Code::SourceUrlTls,
    Code::SourceUrlRedirect,
    Code::SourceUrlStatus,
    Code::SourceUrlReply,
    Code::SourceUrlChanged,
    Code::UploadNotFound,
    Code::UploadUnfinished,
    Code::UploadInterrupted,
    Code::StorageFull,
    Code::Unavailable,
    Code::RequestTimeout,
    Code::SealingUnavailable,
    Code::LookupFailed,
    Code::LookupInvalid,
    Code::Internal,
];

/// An import of the account.
///
/// # Errors
/// `import_not_found`.
pub async fn show(app: &Core, user: UserId, id: i64) -> Result<import::Model, Error> {
    let found = app.with_timeout(import::of_user(&app.db, user, id)).await?;
    Ok(found.ok_or(Code::ImportNotFound)?)
}

/// Rows of an import after a row, in the order of the file.
///
/// # Errors
/// `import_rows_expired`; errors of the database.
pub async fn rows(
    app: &Core,
    import: &import::Model,
    filter: &Filter,
    after: i64,
    limit: u64,
) -> Result<Vec<import_row::Model>, Error> {
    if import.is_expired {
        return Err(Code::ImportRowsExpired.into());
    }
    let rows = import_row::after(&app.db, import.id, filter, after, limit);
    Ok(app.with_timeout(rows).await?)
}

/// Cancels an import. Rows whose files are being fetched end by themselves; no other row is begun.
///
/// # Errors
/// `import_finished`.
pub async fn cancel(app: &Core, import: &import::Model) -> Result<import::Model, Error> {
    let written = entity::write(&app.db, async |db| {
        let is_canceled = import::cancel(db, import.id).await?;
        if is_canceled {
            ending::append_event(db, import.id).await?;
        }
        Ok::<_, Error>(is_canceled)
    });
    if app.with_timeout(written).await? {
        return show(app, import.owner(), import.id).await;
    }
    Err(Code::ImportFinished.into())
}

/// Tries the rows again that have failed with an error that may pass.
///
/// # Errors
/// `import_unfinished`, `nothing_to_retry`.
pub async fn retry(app: &Core, import: &import::Model) -> Result<import::Model, Error> {
    let (user, id) = (import.owner(), import.id);
    let codes = RETRYABLE.map(Code::as_str);
    let written = entity::user::write(&app.db, user, async |db| {
        let import = import::of_user(db, user, id).await?.ok_or(Code::ImportNotFound)?;
        if import.is_expired {
            return Err(Code::NothingToRetry.into());
        }
        match import.status {
            import::Status::DoneWithErrors => {}
            import::Status::Done | import::Status::Failed | import::Status::Canceled => {
                return Err(Code::NothingToRetry.into());
            }
            import::Status::Received | import::Status::Staging | import::Status::Running => {
                return Err(Code::ImportUnfinished.into());
            }
        }
        let lookups = import_row::look_up_again(db, id, &codes).await?;
        match import_row::retry(db, id, &codes).await? {
            0 => Err(Code::NothingToRetry.into()),
            rows => Ok::<_, Error>(import::reopen(db, id, rows, lookups).await?),
        }
    });
    app.with_timeout(written).await?;
    show(app, user, id).await
}

/// The columns of a CSV manifest, by its stored layout; `None` for JSON Lines.
#[must_use]
pub fn columns(layout: &entity::Json) -> Option<Vec<String>> {
    match serde_json::from_value::<manifest::Layout>(layout.clone()).ok()?.format {
        manifest::Format::Csv { columns, .. } => Some(columns),
        manifest::Format::Jsonl => None,
    }
}
