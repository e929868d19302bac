//! Table `dataset_regions`: geometries with codes, in three precisions, and their bounding boxes.

use crate::dataset::Version;
use domain::analytics::BoundingBox;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait, Func, SelectStatement};
use sea_orm::{Condition, DatabaseTransaction, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};

/// A region.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "dataset_regions")]
#[allow(missing_docs, reason = "explained by their names")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub dataset_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub code: String,
    pub name: Option<String>,
    /// The bounding box, in degrees.
    pub west: f64,
    pub south: f64,
    pub east: f64,
    pub north: f64,
    /// GeoJSON as text, with all points.
    pub geometry: String,
    /// Without points that are within 0.001° of the line between others.
    pub geometry_mid: String,
    /// Without points that are within 0.01° of the line between others.
    pub geometry_low: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[allow(missing_docs, reason = "has no variants")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The precision of a geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// All points.
    Full,
    /// 0.001°.
    Mid,
    /// 0.01°.
    Low,
}

/// Regions that are read at once. A geometry may have megabytes.
const PAGE: u64 = 16;

/// A region with one of its geometries.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "explained by the columns")]
pub struct Shape {
    pub code: String,
    pub name: Option<String>,
    /// GeoJSON as text.
    pub geometry: String,
}

/// Inserts regions.
///
/// # Errors
/// Any database error.
pub async fn insert(db: &DatabaseTransaction, regions: Vec<Model>) -> Result<(), DbErr> {
    if regions.is_empty() {
        return Ok(());
    }
    let rows = regions.into_iter().map(|row| row.into_active_model().reset_all());
    Entity::insert_many(rows).exec_without_returning(db).await.map(drop)
}

/// Those of these codes that a version has.
///
/// # Errors
/// Any database error.
pub async fn known(db: &impl ConnectionTrait, of: Version, codes: &[&str]) -> Result<Vec<String>, DbErr> {
    let codes = Column::Code.is_in(codes.iter().copied());
    let rows = Entity::find().select_only().column(Column::Code).filter(is_of(of));
    rows.filter(codes).into_tuple().all(db).await
}

/// Some regions that meet a box, after a code, in the order of their codes. Empty at the end.
///
/// # Errors
/// Any database error.
pub async fn within(
    db: &impl ConnectionTrait,
    of: Version,
    area: Option<BoundingBox>,
    precision: Precision,
    after: &str,
) -> Result<Vec<Shape>, DbErr> {
    let rows = shapes(precision)
        .filter(is_of(of))
        .filter(area.map_or_else(Condition::all, meets))
        .filter(Column::Code.gt(after));
    let rows = rows.order_by_asc(Column::Code).limit(PAGE).into_tuple().all(db).await?;
    Ok(rows.into_iter().map(shape).collect())
}

/// The region with a code.
///
/// # Errors
/// Any database error.
pub async fn find(
    db: &impl ConnectionTrait,
    of: Version,
    code: &str,
    precision: Precision,
) -> Result<Option<Shape>, DbErr> {
    let rows = shapes(precision).filter(is_of(of)).filter(Column::Code.eq(code));
    Ok(rows.into_tuple().one(db).await?.map(shape))
}

/// The sum of the lengths of the geometries of regions that meet a box, in bytes.
///
/// # Errors
/// Any database error.
pub async fn bytes_within(
    db: &impl ConnectionTrait,
    of: Version,
    area: Option<BoundingBox>,
    precision: Precision,
) -> Result<i64, DbErr> {
    let length = Expr::cust_with_expr("OCTET_LENGTH($1)", Expr::col(geometry(precision)));
    let rows = Entity::find()
        .select_only()
        .column_as(Func::sum(length).cast_as("BIGINT"), "bytes")
        .filter(is_of(of))
        .filter(area.map_or_else(Condition::all, meets));
    let bytes: Option<Option<i64>> = rows.into_tuple().one(db).await?;
    Ok(bytes.flatten().unwrap_or_default())
}

/// Removes up to `limit` regions of a version. Returns their number.
///
/// # Errors
/// Any database error.
pub async fn remove_some(db: &impl ConnectionTrait, of: Version, limit: u64) -> Result<u64, DbErr> {
    let rows = Entity::find().select_only().column(Column::Code).filter(is_of(of));
    let some = rows.limit(limit).into_query();
    let delete = Entity::delete_many().filter(is_of(of));
    Ok(delete
        .filter(Column::Code.in_subquery(some))
        .exec(db)
        .await?
        .rows_affected)
}

/// The codes of regions that meet a box.
pub(crate) fn codes_within(of: Version, area: BoundingBox) -> SelectStatement {
    let rows = Entity::find().select_only().column(Column::Code);
    rows.filter(is_of(of)).filter(meets(area)).into_query()
}

fn is_of(of: Version) -> Condition {
    Condition::all()
        .add(Column::DatasetId.eq(of.dataset))
        .add(Column::Version.eq(of.version))
}

/// The bounding box of the region and the box have a point in common.
fn meets(area: BoundingBox) -> Condition {
    let parts = area.parts().into_iter().map(|part| {
        Condition::all()
            .add(Column::West.lte(part.east))
            .add(Column::East.gte(part.west))
            .add(Column::South.lte(part.north))
            .add(Column::North.gte(part.south))
    });
    parts.fold(Condition::any(), Condition::add)
}

const fn geometry(precision: Precision) -> Column {
    match precision {
        Precision::Full => Column::Geometry,
        Precision::Mid => Column::GeometryMid,
        Precision::Low => Column::GeometryLow,
    }
}

fn shapes(precision: Precision) -> Select<Entity> {
    let rows = Entity::find().select_only();
    rows.columns([Column::Code, Column::Name, geometry(precision)])
}

fn shape(row: (String, Option<String>, String)) -> Shape {
    let (code, name, geometry) = row;
    Shape { code, name, geometry }
}
