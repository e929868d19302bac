//! Table `costs`: what processed tasks were expected to cost and what they came to. Estimates learn from it.

use domain::plan::{Cost, Sample};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, QueryOrder, QuerySelect, QueryTrait};

/// As many tasks of a class are remembered: what ran long ago may have run on another machine.
pub const REMEMBERED: u64 = 200;

/// As many tasks of all classes together: combinations of outputs, codecs and speeds make more classes than anybody uses.
pub const REMEMBERED_IN_ALL: i64 = 100_000;

/// The cost of a processed task; it stays when the task is removed.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "costs")]
#[allow(missing_docs, reason = "columns say what they are")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Tasks of one class cost alike: see [`domain::plan::predict`].
    pub class: String,
    pub predicted_cpu_s: f64,
    pub predicted_wall_s: f64,
    pub predicted_bytes: f64,
    pub actual_cpu_s: f64,
    pub actual_wall_s: f64,
    pub actual_bytes: f64,
    pub at: ChronoDateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for Sample {
    fn from(row: Model) -> Self {
        Self {
            predicted: Cost {
                cpu_s: row.predicted_cpu_s,
                wall_s: row.predicted_wall_s,
                bytes: row.predicted_bytes,
            },
            actual: Cost {
                cpu_s: row.actual_cpu_s,
                wall_s: row.actual_wall_s,
                bytes: row.actual_bytes,
            },
        }
    }
}

/// Records what a task of this class came to, and forgets the oldest of more than [`REMEMBERED`] and of more than
/// [`REMEMBERED_IN_ALL`]; part of settling it.
///
/// # Errors
/// Those of the database.
pub async fn record(db: &DatabaseTransaction, class: &str, sample: &Sample) -> Result<(), DbErr> {
    let Sample { predicted, actual } = sample;
    let row = ActiveModel {
        id: NotSet,
        class: Set(class.to_owned()),
        predicted_cpu_s: Set(predicted.cpu_s),
        predicted_wall_s: Set(predicted.wall_s),
        predicted_bytes: Set(predicted.bytes),
        actual_cpu_s: Set(actual.cpu_s),
        actual_wall_s: Set(actual.wall_s),
        actual_bytes: Set(actual.bytes),
        at: Set(crate::now()),
    };
    let newest = row.insert(db).await?.id;
    let remembered = latest(class).select_only().column(Column::Id).limit(REMEMBERED);
    Entity::delete_many()
        .filter(Column::Class.eq(class))
        .filter(Column::Id.not_in_subquery(remembered.into_query()))
        .exec(db)
        .await?;
    Entity::delete_many()
        .filter(Column::Id.lte(newest - REMEMBERED_IN_ALL))
        .exec(db)
        .await
        .map(|_| ())
}

fn latest(class: &str) -> Select<Entity> {
    Entity::find().filter(Column::Class.eq(class)).order_by_desc(Column::Id)
}

/// What the latest tasks of this class came to, the newest first.
///
/// # Errors
/// Those of the database.
pub async fn history(db: &impl ConnectionTrait, class: &str) -> Result<Vec<Sample>, DbErr> {
    let rows = latest(class).limit(REMEMBERED).all(db).await?;
    Ok(rows.into_iter().map(Sample::from).collect())
}
