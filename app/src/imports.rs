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
mod due;
mod ending;
mod geometry;
mod load;
mod retention;
mod sheet;
mod stage;
mod step;
mod watch;
mod watchers;

pub use due::{DueImport, take_due};
pub use entity::import::Model as Import;
pub use retention::{remove, remove_some};
pub use watch::{Watch, watch};
pub(crate) use watchers::Watchers;

use crate::app::Core;
use crate::idempotency::{Fingerprint, KeyGuard};
use crate::uninterrupted::uninterrupted;
use crate::{Error, NewFile, Refusal, file_name};
use bytes::Bytes;
use domain::manifest::Kind;
use domain::{Code, UserId};
use entity::import_row::Filter;
use entity::{DatabaseTransaction, import, import_row};
use futures::Stream;
use serde::Serialize;
use sha2::{Digest, Sha256};
use storage::Key;
use uuid::Uuid;

/// Maximum number of imports of one account that have not ended.
const MAX_IMPORTS: u64 = 20;
/// Maximum size of a manifest as it is sent, in bytes.
pub const MAX_MANIFEST_BYTES: u64 = 2 << 30;

/// Errors of rows that may pass: a retry of an import tries these rows again.
const RETRYABLE: [Code; 14] = [
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
    Code::Internal,
];

/// The dataset that an import loads.
#[derive(Clone)]
pub struct Target {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its columns, as they are stored.
    pub columns: entity::Json,
}

/// A stored manifest.
pub struct NewImport {
    /// Its kind.
    pub kind: Kind,
    /// The dataset that it loads; only with the kinds of datasets.
    pub dataset: Option<Target>,
    /// Rows are checked, and have no effect.
    pub is_dry_run: bool,
    /// Begin also if the same file was imported before.
    pub again: bool,
    /// The name of the file.
    pub file_name: String,
    /// The file.
    pub file: NewFile,
    /// The hash of the request, for its idempotency key.
    pub fingerprint: Fingerprint,
}

impl NewImport {
    /// The hash of the file, the kind and the options.
    fn dedup(&self) -> String {
        let mut text = format!("{} {} {}", self.kind, self.is_dry_run, self.file.stored().sha256);
        if let Some(dataset) = &self.dataset {
            text.push_str(&format!(" {} {}", dataset.id, dataset.columns));
        }
        hex::encode(Sha256::digest(text))
    }
}

/// Stores the bytes of a manifest under a new key. Dropping the future or the file leaves nothing behind.
///
/// # Errors
/// `file_empty`, `upload_too_large`, `storage_full`; errors of the stream, the database and the storage.
pub async fn store(
    app: &Core,
    stream: impl Stream<Item = Result<Bytes, Error>>,
    declared_bytes: Option<u64>,
) -> Result<NewFile, Error> {
    let limit = MAX_MANIFEST_BYTES.min(app.settings.limits.max_upload_bytes);
    NewFile::put(app, Key::source(Uuid::new_v4()), stream, declared_bytes, limit).await
}

/// Begins an import. If the account has begun the same import before, that one is the reply, as it stands, and the new
/// file is removed. Dropping the future does not stop it.
///
/// # Errors
/// `imports_too_many`, `idempotency_key_in_use`; errors of the database.
pub async fn create<R: Serialize + Send + Sync + 'static>(
    app: &Core,
    user: UserId,
    new: NewImport,
    guard: KeyGuard,
    reply: fn(&import::Model) -> R,
) -> Result<R, Error> {
    let app = app.clone();
    uninterrupted(async move { begin(&app, user, new, &guard, reply).await }).await
}

async fn begin<R: Serialize>(
    app: &Core,
    user: UserId,
    new: NewImport,
    guard: &KeyGuard,
    reply: fn(&import::Model) -> R,
) -> Result<R, Error> {
    let dedup = (!new.again).then(|| new.dedup());
    let NewImport { file, fingerprint, .. } = new;
    let row = import::New {
        kind: new.kind,
        is_dry_run: new.is_dry_run,
        file_name: file_name::display(&new.file_name),
        key: file.key(),
        sha256: file.stored().sha256.clone(),
        bytes: file.stored().bytes,
        dedup,
        dataset_id: new.dataset.as_ref().map(|dataset| dataset.id),
        dataset_columns: new.dataset.as_ref().map(|dataset| dataset.columns.clone()),
    };
    let written = entity::user::write(&app.db, user, async |db| {
        guard.renew(db).await?;
        let same = match &row.dedup {
            Some(dedup) => import::same(db, user, dedup).await?,
            None => None,
        };
        let same = match &new.dataset {
            Some(dataset) => still_loaded(db, user, dataset, same).await?,
            None => same,
        };
        let is_new = same.is_none();
        let import = match same {
            Some(import) => import,
            None => {
                Refusal::unless_below(MAX_IMPORTS, import::count_open(db, user).await?, Code::ImportsTooMany)?;
                entity::trash::remove_key(db, &row.key).await?;
                let import = import::create(db, user, row).await?;
                if let Some(version) = import.loads() {
                    entity::dataset_version::begin(db, version).await?;
                }
                import
            }
        };
        let reply = reply(&import);
        guard.store_reply(db, &fingerprint, &reply).await?;
        Ok::<_, Error>((is_new, import.id, reply))
    });
    let written = app.with_timeout(written).await;
    match &written {
        Ok((false, ..)) => file.discard().await,
        _ => file.decide(&written).await,
    }
    let (is_new, id, reply) = written?;
    tracing::info!(import = id, is_new, "an import was begun");
    Ok(reply)
}

/// The same import, if the dataset has its rows, or will have them. Otherwise the file is to be loaded again.
async fn still_loaded(
    db: &DatabaseTransaction,
    user: UserId,
    dataset: &Target,
    same: Option<import::Model>,
) -> Result<Option<import::Model>, Error> {
    let found = entity::dataset::of_user(db, user, &dataset.name).await?;
    let found = found
        .filter(|found| found.id == dataset.id)
        .ok_or(Code::DatasetNotFound)?;
    match same {
        Some(same) if same.has_ended() && !same.is_dry_run && found.version != Some(same.id) => {
            import::forget_same(db, same.id).await?;
            Ok(None)
        }
        same => Ok(same),
    }
}

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
        match import_row::retry(db, id, &codes).await? {
            0 => Err(Code::NothingToRetry.into()),
            rows => Ok::<_, Error>(import::reopen(db, id, rows).await?),
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
