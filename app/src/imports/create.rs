//! The beginning of an import.

use super::MAX_MANIFEST_BYTES;
use crate::app::Core;
use crate::idempotency::{Fingerprint, KeyGuard};
use crate::uninterrupted::uninterrupted;
use crate::uploads::{ManifestFile, OpenManifest};
use crate::{Error, NewFile, Refusal, file_name};
use bytes::Bytes;
use domain::manifest::Kind;
use domain::{Code, UserId};
use entity::{DatabaseTransaction, import};
use futures::Stream;
use serde::Serialize;
use sha2::{Digest, Sha256};
use storage::Key;
use uuid::Uuid;

/// Maximum number of imports of one account that have not ended.
const MAX_IMPORTS: u64 = 20;

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

/// Lookups of the points of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// The wish of the client; without one, points are looked up where the installation does so.
    pub is_wanted: Option<bool>,
    /// A row whose lookup fails has an error. Otherwise it has its effect without the answer.
    pub is_required: bool,
}

/// The options of an import.
#[derive(Clone)]
pub struct Options {
    /// Its kind.
    pub kind: Kind,
    /// The dataset that it loads; only with the kinds of datasets.
    pub dataset: Option<Target>,
    /// Rows are checked, and have no effect.
    pub is_dry_run: bool,
    /// Begin also if the same file was imported before.
    pub again: bool,
    /// The points of rows are looked up.
    pub lookup: Lookup,
}

/// A new import.
pub struct NewImport {
    /// The manifest.
    pub file: ManifestFile,
    /// Its options.
    pub options: Options,
    /// The hash of the request, for its idempotency key.
    pub fingerprint: Fingerprint,
}

/// An import that was begun, now or before, as the reply shows it.
pub struct Begun<R> {
    /// The import.
    pub reply: R,
    /// It was begun by this request.
    pub is_new: bool,
}

impl Options {
    /// Decides if points are looked up.
    fn looks_up(&self, app: &Core) -> Result<bool, Refusal> {
        let (is_configured, wanted) = (app.settings.lookups.is_some(), self.lookup.is_wanted);
        if wanted == Some(true) && !is_configured {
            return Err(Refusal::new(Code::LookupUnavailable).detail("lookup: true; accepted: false"));
        }
        Ok(self.kind == Kind::Videos && is_configured && wanted != Some(false))
    }

    /// The hash of the file, the kind and the options.
    fn dedup(&self, sha256: &str, looks_up: bool) -> String {
        let mut text = format!("{} {} {sha256}", self.kind, self.is_dry_run);
        if looks_up {
            text.push_str(&format!(" lookup {}", self.lookup.is_required));
        }
        if let Some(dataset) = &self.dataset {
            text.push_str(&format!(" {} {}", dataset.id, dataset.columns));
        }
        hex::encode(Sha256::digest(text))
    }

    fn row(self, file: &OpenManifest, looks_up: bool) -> import::New {
        import::New {
            dedup: (!self.again).then(|| self.dedup(file.sha256(), looks_up)),
            kind: self.kind,
            is_dry_run: self.is_dry_run,
            file_name: file_name::display(file.given_name()),
            key: file.key(),
            sha256: file.sha256().to_owned(),
            bytes: file.bytes(),
            dataset_id: self.dataset.as_ref().map(|dataset| dataset.id),
            dataset_columns: self.dataset.map(|dataset| dataset.columns),
            looks_up,
            lookup_required: self.lookup.is_required,
        }
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
/// file is removed; an upload stays until it expires. Dropping the future does not stop it.
///
/// # Errors
/// `imports_too_many`, `lookup_unavailable`, `idempotency_key_in_use`; those of [`ManifestFile::Upload`]; errors of the
/// database.
pub async fn create<R: Serialize + Send + Sync + 'static>(
    app: &Core,
    user: UserId,
    new: NewImport,
    guard: KeyGuard,
    reply: fn(&import::Model) -> R,
) -> Result<Begun<R>, Error> {
    let app = app.clone();
    uninterrupted(async move { begin(&app, user, new, &guard, reply).await }).await
}

async fn begin<R: Serialize>(
    app: &Core,
    user: UserId,
    new: NewImport,
    guard: &KeyGuard,
    reply: fn(&import::Model) -> R,
) -> Result<Begun<R>, Error> {
    let (options, fingerprint) = (new.options, new.fingerprint);
    let looks_up = options.looks_up(app)?;
    let file = new.file.open(app, user).await?;
    let dataset = options.dataset.clone();
    let row = options.row(&file, looks_up);
    let written = entity::user::write(&app.db, user, async |db| {
        guard.renew(db).await?;
        let same = match &row.dedup {
            Some(dedup) => import::same(db, user, dedup).await?,
            None => None,
        };
        let same = match &dataset {
            Some(dataset) => still_loaded(db, user, dataset, same).await?,
            None => same,
        };
        let is_new = same.is_none();
        let import = match same {
            Some(import) => import,
            None => {
                Refusal::unless_below(MAX_IMPORTS, import::count_open(db, user).await?, Code::ImportsTooMany)?;
                file.attach(db).await?;
                let import = import::create(db, user, row).await?;
                if let Some(version) = import.loads() {
                    entity::dataset_version::begin(db, version).await?;
                }
                import
            }
        };
        let reply = reply(&import);
        guard.store_reply(db, &fingerprint, &reply).await?;
        Ok::<_, Error>((import.id, Begun { reply, is_new }))
    });
    let written = app.with_timeout(written).await;
    let is_used = written.as_ref().is_ok_and(|(_, begun)| begun.is_new);
    file.decide(&written, is_used).await;
    let (id, begun) = written?;
    tracing::info!(import = id, is_new = begun.is_new, "an import was begun");
    Ok(begun)
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
