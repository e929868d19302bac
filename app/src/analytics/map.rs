//! Maps: regions with their sums.

use super::source::{Query, Source, regions_missing};
use super::value::{MAX_SUMS, Value, unless_more};
use crate::app::Core;
use crate::{Error, Refusal, datasets};
use domain::analytics::BoundingBox;
use domain::dataset::DatasetKind;
use domain::{Code, UserId};
use entity::dataset::Version;
use entity::dataset_fact::{self, Dimension};
use entity::dataset_region::{self, Precision, Shape};
use std::collections::BTreeMap;

/// Maximum size of the geometries of a map in bytes.
const MAP_BYTES: i64 = 64 << 20;
/// Size of the geometries of a map above which a lower precision is chosen, in bytes.
const AUTO_BYTES: i64 = 2 << 20;

/// The regions of a map, with their sums, and the precision of their geometries. [`shapes`] has the geometries.
#[derive(Clone, Debug)]
pub struct Map {
    /// The metric.
    pub metric: String,
    /// The sums by the codes of the regions.
    pub values: BTreeMap<String, Value>,
    /// The regions.
    pub regions: Version,
    /// The precision.
    pub precision: Precision,
}

/// The sums of the regions that meet the box of a query. Without a precision, the finest one whose geometries have up
/// to 2 MiB is chosen.
///
/// # Errors
/// `metric_unknown`, `dimension_unknown`, `regions_missing`, `map_too_large`; errors of the database.
pub async fn map(app: &Core, source: &Source, query: &Query, precision: Option<Precision>) -> Result<Map, Error> {
    let filter = source.filter(query)?;
    let regions = source.regions.ok_or_else(regions_missing)?;
    let precision = choose(app, regions, query.area, precision).await?;
    let sums = dataset_fact::sums(
        &app.db,
        &filter,
        None,
        [Some(Dimension::Region), None],
        MAX_SUMS as u64 + 1,
    );
    let sums = app.with_timeout(sums).await?;
    unless_more(sums.len(), MAX_SUMS)?;
    let metric = filter.metric;
    let values = sums
        .into_iter()
        .map(|sum| (sum.key.clone(), source.value(&metric, &sum)));
    Ok(Map {
        values: values.collect(),
        metric,
        regions,
        precision,
    })
}

async fn choose(
    app: &Core,
    regions: Version,
    area: Option<BoundingBox>,
    given: Option<Precision>,
) -> Result<Precision, Error> {
    let all = [Precision::Full, Precision::Mid, Precision::Low];
    for precision in given.map_or(all.to_vec(), |given| vec![given]) {
        let bytes = dataset_region::bytes_within(&app.db, regions, area, precision);
        let bytes = app.with_timeout(bytes).await?;
        let is_last = given.is_some() || precision == Precision::Low;
        if bytes <= AUTO_BYTES || (is_last && bytes <= MAP_BYTES) {
            return Ok(precision);
        }
    }
    let detail = format!("accepted: up to {MAP_BYTES} bytes of geometries; choose a smaller bbox or a lower precision");
    Err(Refusal::new(Code::MapTooLarge).detail(detail).into())
}

/// Some regions that meet a box after the one with the code `after`, in the order of their codes. Empty at the end.
///
/// # Errors
/// Errors of the database.
pub async fn shapes(app: &Core, map: &Map, area: Option<BoundingBox>, after: &str) -> Result<Vec<Shape>, Error> {
    let shapes = dataset_region::within(&app.db, map.regions, area, map.precision, after);
    Ok(app.with_timeout(shapes).await?)
}

/// The region with a code of a dataset of regions.
///
/// # Errors
/// `dataset_not_found`, also for a dataset of facts; `region_not_found`.
pub async fn region(app: &Core, user: UserId, name: &str, code: &str, precision: Precision) -> Result<Shape, Error> {
    let found = datasets::show(app, user, name).await?;
    if DatasetKind::from(found.kind) != DatasetKind::Regions {
        let detail = format!("{name} has facts; accepted: a dataset of regions");
        return Err(Refusal::new(Code::DatasetNotFound).detail(detail).into());
    }
    // No code has control characters, and Postgres takes no NUL.
    let version = found.loaded().filter(|_| !code.contains(char::is_control));
    let version = version.ok_or(Code::RegionNotFound)?;
    let shape = dataset_region::find(&app.db, version, code, precision);
    Ok(app.with_timeout(shape).await?.ok_or(Code::RegionNotFound)?)
}
