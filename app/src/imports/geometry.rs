//! Geometries of regions, checked and simplified by the crate `regions`.

use domain::Code;
use domain::dataset::RegionRow;
use domain::manifest::RowError;
use entity::dataset::Version;
use entity::dataset_region;
use regions::{Limits, Region};

/// A region as it is stored. `column` has its geometry.
pub(super) fn parsed(of: Version, column: &str, row: RegionRow) -> Result<dataset_region::Model, RowError> {
    let region = Region::parse(&row.geometry, Limits::default()).map_err(|error| refused(column, &error))?;
    Ok(dataset_region::Model {
        dataset_id: of.dataset,
        version: of.version,
        code: row.code,
        name: row.name,
        west: region.bbox.min_lon,
        south: region.bbox.min_lat,
        east: region.bbox.max_lon,
        north: region.bbox.max_lat,
        geometry: region.full,
        geometry_mid: region.mid,
        geometry_low: region.low,
    })
}

fn refused(column: &str, error: &regions::Error) -> RowError {
    use regions::Error as E;
    let code = match error {
        E::Damaged { .. } => Code::GeometryInvalid,
        E::Kind { .. } => Code::GeometryKind,
        E::RingOpen { .. } => Code::RingOpen,
        E::OutOfBounds { .. } => Code::GeometryOutOfBounds,
        E::TooLarge { .. } => Code::GeometryTooLarge,
    };
    RowError::new(column, code, &error.to_string())
}
