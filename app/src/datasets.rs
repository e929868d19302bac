//! Datasets: tables of facts and regions that accounts load and analyze. `entity::dataset` has the theory of operation.
//!
//! Rows are loaded by imports ([`crate::imports`]): [`load`] begins one, `imports/load.rs` writes its rows.

use crate::app::Core;
use crate::idempotency::KeyGuard;
use crate::imports::{self, Begun, NewImport, Target};
use crate::{Error, Refusal};
use domain::dataset::{ColumnsError, DatasetKind, FactColumns, RegionColumns, is_reserved};
use domain::recipe::Name;
use domain::{Code, UserId};
use entity::{Json, dataset, dataset_version, import};
use serde::Serialize;

/// Maximum number of datasets of an account.
const MAX_DATASETS: u64 = 100;

/// The columns of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Columns {
    /// Those of facts.
    Facts(FactColumns),
    /// Those of regions.
    Regions(RegionColumns),
}

impl Columns {
    /// The kind of the dataset.
    #[must_use]
    pub const fn kind(&self) -> DatasetKind {
        match self {
            Self::Facts(_) => DatasetKind::Facts,
            Self::Regions(_) => DatasetKind::Regions,
        }
    }

    /// Checks the names.
    ///
    /// # Errors
    /// The first field that is refused.
    pub fn check(&self) -> Result<(), ColumnsError> {
        match self {
            Self::Facts(columns) => columns.check(),
            Self::Regions(columns) => columns.check(),
        }
    }

    /// The columns as they are stored.
    fn stored(&self) -> Result<Json, Error> {
        let stored = match self {
            Self::Facts(columns) => serde_json::to_value(columns),
            Self::Regions(columns) => serde_json::to_value(columns),
        };
        Ok(stored.map_err(anyhow::Error::from)?)
    }

    /// Reads stored columns.
    ///
    /// # Errors
    /// The JSON has another form.
    pub fn read(kind: DatasetKind, stored: &Json) -> Result<Self, Error> {
        let read = match kind {
            DatasetKind::Facts => serde_json::from_value(stored.clone()).map(Self::Facts),
            DatasetKind::Regions => serde_json::from_value(stored.clone()).map(Self::Regions),
        };
        Ok(read.map_err(anyhow::Error::from)?)
    }
}

/// The dataset of an account with a name.
///
/// # Errors
/// `dataset_not_found`.
pub async fn show(app: &Core, user: UserId, name: &str) -> Result<dataset::Model, Error> {
    let found = app.with_timeout(dataset::of_user(&app.db, user, name)).await?;
    Ok(found.ok_or(Code::DatasetNotFound)?)
}

/// Creates a dataset, or replaces the columns of one. Rows that are loaded stay as they are; rows of later loads are
/// read from the new columns.
///
/// # Errors
/// `dataset_kind_fixed`, `datasets_too_many`, `name_invalid`; errors of the database.
pub async fn put(app: &Core, user: UserId, name: &Name, columns: &Columns) -> Result<dataset::Model, Error> {
    if is_reserved(name) {
        let refusal = Refusal::of_field("name", Code::NameInvalid);
        return Err(refusal
            .detail(format!("{name}; accepted: a name that no source of analytics has"))
            .into());
    }
    let stored = columns.stored()?;
    let written = entity::user::write(&app.db, user, async |db| {
        match dataset::of_user(db, user, name.as_str()).await? {
            Some(found) if DatasetKind::from(found.kind) != columns.kind() => {
                let detail = format!("{}; accepted: {}", columns.kind(), DatasetKind::from(found.kind));
                Err(Refusal::new(Code::DatasetKindFixed).detail(detail).into())
            }
            Some(found) => Ok(dataset::set_columns(db, found.id, stored).await?),
            None => {
                Refusal::unless_below(MAX_DATASETS, dataset::count(db, user).await?, Code::DatasetsTooMany)?;
                Ok::<_, Error>(dataset::create(db, user, name, columns.kind(), stored).await?)
            }
        }
    });
    app.with_timeout(written).await
}

/// Removes a dataset. Imports that load it end without an effect.
///
/// # Errors
/// `dataset_not_found` when another request has removed it.
pub async fn remove(app: &Core, dataset: &dataset::Model) -> Result<(), Error> {
    let removed = app.with_timeout(dataset::remove(&app.db, dataset)).await?;
    removed.then_some(()).ok_or_else(|| Code::DatasetNotFound.into())
}

/// Begins to load a file into a dataset. Its rows replace those that are loaded when all of them are read. If they are
/// those of the same file, or if it is being loaded, the reply is the import of that file.
///
/// # Errors
/// `dataset_not_found`, and those of [`imports::create`].
pub async fn load<R: Serialize + Send + Sync + 'static>(
    app: &Core,
    dataset: &dataset::Model,
    mut new: NewImport,
    guard: KeyGuard,
    reply: fn(&import::Model) -> R,
) -> Result<Begun<R>, Error> {
    new.options.dataset = Some(Target {
        id: dataset.id,
        name: dataset.name.clone(),
        columns: dataset.columns.clone(),
    });
    imports::create(app, UserId(dataset.user_id), new, guard, reply).await
}

/// Rows of one statement.
const REMOVED_ROWS: u64 = 5_000;

/// Removes some rows of a version that no dataset names. Returns `false` if there are none.
///
/// # Errors
/// Errors of the database.
pub async fn remove_unused(app: &Core) -> Result<bool, Error> {
    let Some(version) = app.with_timeout(dataset_version::unused(&app.db)).await? else {
        return Ok(false);
    };
    let removed = async {
        // Regions are larger than facts.
        let regions = entity::dataset_region::remove_some(&app.db, version, REMOVED_ROWS / 50).await?;
        let facts = entity::dataset_fact::remove_some(&app.db, version, REMOVED_ROWS).await?;
        if regions + facts == 0 {
            dataset_version::end(&app.db, version).await?;
        }
        Ok::<_, Error>(())
    };
    app.with_timeout(removed).await?;
    Ok(true)
}
