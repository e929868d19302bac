//! Table `dataset_facts`: sums of facts by metric, unit of time, region and groups. A row of a file adds to one sum of
//! each of its metrics, so the table is as large as the number of different combinations, not as the file.
//!
//! The primary key begins with the version, the metric and the time, so a query about a range of time reads one range
//! of the key.

use crate::dataset::Version;
use crate::dataset_region;
use domain::analytics::BoundingBox;
use domain::dataset::GROUPS_MAX;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, SimpleExpr};
use sea_orm::{Condition, DatabaseTransaction, QueryOrder, QuerySelect, QueryTrait};
use std::collections::BTreeMap;

/// A sum.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dataset_facts")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub dataset_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub metric: String,
    /// The beginning of the unit of time, in seconds since 1970.
    #[sea_orm(primary_key, auto_increment = false)]
    pub at_s: i64,
    /// Empty without one.
    #[sea_orm(primary_key, auto_increment = false)]
    pub region: String,
    /// The words of the groups, in the order of the groups' names; empty without one.
    #[sea_orm(primary_key, auto_increment = false)]
    pub g1: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub g2: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub g3: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub g4: String,
    /// The sum, times ten to the power of the scale of the metric.
    pub value: i64,
    /// The number of rows of the file in it.
    pub n: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The columns of the groups.
const GROUPS: [Column; GROUPS_MAX] = [Column::G1, Column::G2, Column::G3, Column::G4];
/// The columns of the primary key after the version.
const KEY: [Column; 7] = [
    Column::Metric,
    Column::AtS,
    Column::Region,
    Column::G1,
    Column::G2,
    Column::G3,
    Column::G4,
];
/// Sums of one statement.
const INSERTED: usize = 1_000;

/// The combination that a sum is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "explained by the columns")]
pub struct Key {
    pub metric: String,
    pub at_s: i64,
    pub region: String,
    pub groups: [String; GROUPS_MAX],
}

/// Adds to sums of a version: the value, and the number of rows.
///
/// # Errors
/// Any database error.
pub async fn add(db: &DatabaseTransaction, of: Version, sums: BTreeMap<Key, (i64, i64)>) -> Result<(), DbErr> {
    let added = |column: Column| Expr::col((Entity, column)).add(Expr::col(("excluded", column)));
    let conflict = OnConflict::columns([Column::DatasetId, Column::Version].into_iter().chain(KEY))
        .values([Column::Value, Column::N].map(|column| (column, added(column))))
        .to_owned();
    let rows = sums.into_iter().map(|(key, (value, n))| {
        let [g1, g2, g3, g4] = key.groups.map(Set);
        ActiveModel {
            dataset_id: Set(of.dataset),
            version: Set(of.version),
            metric: Set(key.metric),
            at_s: Set(key.at_s),
            region: Set(key.region),
            g1,
            g2,
            g3,
            g4,
            value: Set(value),
            n: Set(n),
        }
    });
    let rows: Vec<ActiveModel> = rows.collect();
    for rows in rows.chunks(INSERTED) {
        let insert = Entity::insert_many(rows.to_vec()).on_conflict(conflict.clone());
        insert.exec_without_returning(db).await?;
    }
    Ok(())
}

/// Removes up to `limit` sums of a version. Returns their number.
///
/// # Errors
/// Any database error.
pub async fn remove_some(db: &impl ConnectionTrait, of: Version, limit: u64) -> Result<u64, DbErr> {
    let of_version = Condition::all()
        .add(Column::DatasetId.eq(of.dataset))
        .add(Column::Version.eq(of.version));
    let some = Entity::find()
        .select_only()
        .columns(KEY)
        .filter(of_version.clone())
        .limit(limit)
        .into_query();
    let key = Expr::tuple(KEY.map(Expr::col));
    let delete = Entity::delete_many().filter(of_version).filter(key.in_subquery(some));
    Ok(delete.exec(db).await?.rows_affected)
}

/// The sums that a query is about.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "explained by the columns")]
pub struct Filter {
    /// The rows that are read.
    pub of: Version,
    pub metric: String,
    /// The first second.
    pub from_s: Option<i64>,
    /// The first second after it.
    pub to_s: Option<i64>,
    /// Codes of regions; all if empty.
    pub regions: Vec<String>,
    /// Only regions that meet a box.
    pub within: Option<Within>,
    /// The words of groups.
    pub groups: [Option<String>; GROUPS_MAX],
}

/// The regions that meet a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Within {
    /// The regions.
    pub regions: Version,
    /// The box.
    pub area: BoundingBox,
}

/// A value by which sums are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// The region.
    Region,
    /// The group at this position.
    Group(usize),
}

impl Dimension {
    fn column(self) -> Column {
        match self {
            Self::Region => Column::Region,
            Self::Group(position) => GROUPS.get(position).copied().unwrap_or(Column::G4),
        }
    }
}

/// The unit of time by which sums are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The unit in which the dataset is kept.
    Kept,
    /// A day; for datasets that are kept in hours.
    Day,
}

/// The sum of some rows. Values by which it is not grouped are 0 or empty.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "explained by the columns")]
pub struct Sum {
    pub at_s: i64,
    pub key: String,
    pub cross: String,
    pub value: i64,
    pub n: i64,
}

/// Sums by time, by up to two dimensions, or by both; at most `limit` of them, in the order of their keys.
///
/// # Errors
/// Any database error.
pub async fn sums(
    db: &impl ConnectionTrait,
    filter: &Filter,
    unit: Option<Unit>,
    dimensions: [Option<Dimension>; 2],
    limit: u64,
) -> Result<Vec<Sum>, DbErr> {
    let total = |column: Column| Expr::col(column).sum().cast_as("BIGINT");
    let at: SimpleExpr = match unit {
        None => Expr::value(0_i64),
        Some(Unit::Kept) => Expr::col(Column::AtS),
        // The remainder of a time before 1970 is negative.
        Some(Unit::Day) => {
            let rest = Expr::col(Column::AtS)
                .modulo(86_400_i64)
                .add(86_400_i64)
                .modulo(86_400_i64);
            Expr::col(Column::AtS).sub(rest)
        }
    };
    let mut query = Entity::find().select_only().filter(condition(filter));
    query = query.column_as(at, "at");
    if unit.is_some() {
        // By the name of the column: Postgres takes an expression with other parameters for another expression.
        query = query.group_by(Expr::col("at")).order_by_asc(Expr::col("at"));
    }
    for (dimension, name) in dimensions.into_iter().zip(["key", "cross"]) {
        query = match dimension {
            Some(dimension) => {
                let column = dimension.column();
                let query = query.column_as(Expr::col(column), name).group_by(Expr::col(column));
                query.order_by_asc(Expr::col(column))
            }
            None => query.column_as(Expr::value(""), name),
        };
    }
    let query = query
        .column_as(total(Column::Value), "value")
        .column_as(total(Column::N), "n");
    let rows = query
        .limit(limit)
        .into_tuple::<(i64, String, String, Option<i64>, Option<i64>)>();
    // Without a group, the sum of no rows is null.
    let mut sums = Vec::new();
    for (at_s, key, cross, value, n) in rows.all(db).await? {
        let (value, n) = (value.unwrap_or_default(), n.unwrap_or_default());
        sums.push(Sum {
            at_s,
            key,
            cross,
            value,
            n,
        });
    }
    Ok(sums)
}

/// The first and the last unit of time of which there are facts.
///
/// # Errors
/// Any database error.
pub async fn span(db: &impl ConnectionTrait, filter: &Filter) -> Result<Option<(i64, i64)>, DbErr> {
    let times = Entity::find()
        .select_only()
        .column(Column::AtS)
        .filter(condition(filter));
    let first: Option<i64> = times
        .clone()
        .order_by_asc(Column::AtS)
        .limit(1)
        .into_tuple()
        .one(db)
        .await?;
    let last: Option<i64> = times.order_by_desc(Column::AtS).limit(1).into_tuple().one(db).await?;
    Ok(first.zip(last))
}

fn condition(filter: &Filter) -> Condition {
    let mut condition = Condition::all()
        .add(Column::DatasetId.eq(filter.of.dataset))
        .add(Column::Version.eq(filter.of.version))
        .add(Column::Metric.eq(filter.metric.as_str()))
        .add_option(filter.from_s.map(|from| Column::AtS.gte(from)))
        .add_option(filter.to_s.map(|to| Column::AtS.lt(to)));
    if !filter.regions.is_empty() {
        condition = condition.add(Column::Region.is_in(filter.regions.iter().map(String::as_str)));
    }
    if let Some(Within { regions, area }) = filter.within {
        let codes = dataset_region::codes_within(regions, area);
        condition = condition.add(Column::Region.in_subquery(codes));
    }
    for (column, word) in GROUPS.into_iter().zip(&filter.groups) {
        condition = condition.add_option(word.as_ref().map(|word| column.eq(word.as_str())));
    }
    condition
}
