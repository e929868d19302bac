//! Table `datasets`: tables of facts or regions that accounts load by imports.
//!
//! *Problem.* A load has up to millions of rows, in many transactions. Queries must see all of its rows or none, also
//! when it is canceled or fails.
//!
//! *Mechanism.* Each load writes its rows with a version of its own, which is the id of its import
//! ([`crate::dataset_version`]). Queries read the version that the dataset names. The transaction that ends the import
//! also sets this version ([`publish`]). Rows of versions that no dataset names are removed afterwards.
//!
//! *Invariant.* Rows with a version exist only while `dataset_versions` has it.

use crate::import;
use domain::UserId;
use domain::dataset::DatasetKind;
use domain::recipe::Name;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, ExprTrait, QueryOrder};

/// A dataset.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "datasets")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    pub name: String,
    pub kind: Kind,
    /// The columns of files that will be loaded.
    pub columns: Json,
    /// The id of the import that has loaded its rows; `None` before the first load.
    pub version: Option<i64>,
    /// The columns of that import.
    pub version_columns: Option<Json>,
    /// The number of rows of that import without an error.
    pub version_rows: Option<i64>,
    pub loaded_at: Option<ChronoDateTimeUtc>,
    pub created_at: ChronoDateTimeUtc,
    pub updated_at: ChronoDateTimeUtc,
}

/// The rows of a dataset that one import has loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The id of the dataset.
    pub dataset: i64,
    /// The id of the import.
    pub version: i64,
}

/// [`DatasetKind`] as a text column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[allow(missing_docs, reason = "see `DatasetKind`")]
pub enum Kind {
    Facts,
    Regions,
}

impl From<Kind> for DatasetKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Facts => Self::Facts,
            Kind::Regions => Self::Regions,
        }
    }
}

impl From<DatasetKind> for Kind {
    fn from(kind: DatasetKind) -> Self {
        match kind {
            DatasetKind::Facts => Self::Facts,
            DatasetKind::Regions => Self::Regions,
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The rows that queries read; `None` before the first load.
    #[must_use]
    pub fn loaded(&self) -> Option<Version> {
        let dataset = self.id;
        self.version.map(|version| Version { dataset, version })
    }
}

/// Inserts a dataset. Call it in [`crate::user::write`].
///
/// # Errors
/// Any database error.
pub async fn create(
    db: &DatabaseTransaction,
    user: UserId,
    name: &Name,
    kind: DatasetKind,
    columns: Json,
) -> Result<Model, DbErr> {
    let now = crate::now();
    let row = ActiveModel {
        id: NotSet,
        user_id: Set(user.0),
        name: Set(name.to_string()),
        kind: Set(kind.into()),
        columns: Set(columns),
        version: Set(None),
        version_columns: Set(None),
        version_rows: Set(None),
        loaded_at: Set(None),
        created_at: Set(now),
        updated_at: Set(now),
    };
    row.insert(db).await
}

/// The datasets of an account, ordered by name.
///
/// # Errors
/// Any database error.
pub async fn list(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<Model>, DbErr> {
    let mine = Entity::find().filter(Column::UserId.eq(user.0));
    mine.order_by_asc(Column::Name).all(db).await
}

/// The number of datasets of an account.
///
/// # Errors
/// Any database error.
pub async fn count(db: &impl ConnectionTrait, user: UserId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::UserId.eq(user.0)).count(db).await
}

/// The dataset of an account with this name.
///
/// # Errors
/// Any database error.
pub async fn of_user(db: &impl ConnectionTrait, user: UserId, name: &str) -> Result<Option<Model>, DbErr> {
    let mine = Entity::find().filter(Column::UserId.eq(user.0));
    mine.filter(Column::Name.eq(name)).one(db).await
}

/// Replaces the columns of files that will be loaded. Loaded rows stay.
///
/// # Errors
/// Any database error; [`DbErr::RecordNotUpdated`] if the dataset has been removed.
pub async fn set_columns(db: &DatabaseTransaction, id: i64, columns: Json) -> Result<Model, DbErr> {
    let row = ActiveModel {
        id: Set(id),
        columns: Set(columns),
        updated_at: Set(crate::now()),
        ..Default::default()
    };
    row.update(db).await
}

/// Removes a dataset. Its rows are removed later ([`crate::dataset_version::unused`]). Returns `false` if another
/// request has removed it.
///
/// # Errors
/// Any database error.
pub async fn remove(db: &impl ConnectionTrait, dataset: &Model) -> Result<bool, DbErr> {
    Ok(Entity::delete_by_id(dataset.id).exec(db).await?.rows_affected == 1)
}

/// Lets queries read the rows of an import, in the transaction that ends it. Has no effect if the import has no valid
/// row, if the dataset was removed, or if a later import was faster.
///
/// # Errors
/// Any database error.
pub async fn publish(db: &DatabaseTransaction, import: i64) -> Result<(), DbErr> {
    let Some(import) = import::Entity::find_by_id(import).one(db).await? else {
        return Ok(());
    };
    let Some(dataset) = import.dataset_id.filter(|_| import.created > 0) else {
        return Ok(());
    };
    let is_older = Column::Version.is_null().or(Column::Version.lt(import.id));
    let row = ActiveModel {
        version: Set(Some(import.id)),
        version_columns: Set(import.dataset_columns),
        version_rows: Set(Some(import.created)),
        loaded_at: Set(Some(crate::now())),
        ..Default::default()
    };
    let update = Entity::update_many().set(row).filter(Column::Id.eq(dataset));
    update.filter(is_older).exec(db).await.map(drop)
}
