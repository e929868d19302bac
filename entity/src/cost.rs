//! Table `costs`: predicted and actual cost of processed tasks. `domain::plan::estimate` corrects predictions with it.

use domain::plan::{Cost, CostSample};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, QueryOrder, QuerySelect, QueryTrait};

/// Maximum number of rows of a class. Older tasks may have run on other hardware.
pub const MAX_ROWS_OF_CLASS: u64 = 200;

/// Maximum number of rows of all classes. Combinations of outputs, codecs and speeds make an unbounded number of
/// classes.
pub const MAX_ROWS: i64 = 100_000;

/// The cost of a processed task. The row stays when the task is removed.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "costs")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Class of work: tasks of one class have similar errors of prediction. See [`domain::plan::predict`].
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
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for CostSample {
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

/// Inserts the cost of a task of this class, and deletes the oldest rows beyond [`MAX_ROWS_OF_CLASS`] and [`MAX_ROWS`].
/// Part of the transaction that completes the task.
///
/// # Errors
/// Any database error.
pub async fn record(db: &DatabaseTransaction, class: &str, sample: &CostSample) -> Result<(), DbErr> {
    let CostSample { predicted, actual } = sample;
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
    let kept = latest(class).select_only().column(Column::Id).limit(MAX_ROWS_OF_CLASS);
    Entity::delete_many()
        .filter(Column::Class.eq(class))
        .filter(Column::Id.not_in_subquery(kept.into_query()))
        .exec(db)
        .await?;
    Entity::delete_many()
        .filter(Column::Id.lte(newest - MAX_ROWS))
        .exec(db)
        .await
        .map(|_| ())
}

/// The rows of a class, the latest first.
fn latest(class: &str) -> Select<Entity> {
    Entity::find().filter(Column::Class.eq(class)).order_by_desc(Column::Id)
}

/// The costs of the latest tasks of this class, the latest first.
///
/// # Errors
/// Any database error.
pub async fn history(db: &impl ConnectionTrait, class: &str) -> Result<Vec<CostSample>, DbErr> {
    let rows = latest(class).limit(MAX_ROWS_OF_CLASS).all(db).await?;
    Ok(rows.into_iter().map(CostSample::from).collect())
}
