//! Geometries of regions: parsed, checked, and simplified for maps.
//!
//! *Problem.* A geometry comes from a user, so it may be damaged or made to exhaust this process, and a map with all
//! points of a hundred regions has tens of megabytes.
//!
//! *Mechanism.* [`Region::parse`] reads WKB or EWKB as hexadecimal digits (OGC 06-103r4, PostGIS), or GeoJSON (RFC
//! 7946). The parsers of `geozero` call `Rings` for each position, which checks it before it is kept; so nothing is
//! allocated for a number of positions that the text only claims. Positions are rounded to seven decimals, about a
//! centimeter. [`Region`] has the geometry as GeoJSON text in three precisions, simplified once by the algorithm of
//! Douglas and Peucker.
//!
//! *Invariants.* The texts are polygons or multipolygons by RFC 7946: rings are closed and have at least four
//! positions, exterior ones are counterclockwise. A polygon does not disappear by simplification: where its exterior
//! ring would collapse, it stays as it is.

mod error;
mod limits;
mod region;
mod rings;
mod text;

pub use error::Error;
pub use limits::Limits;
pub use region::{BoundingBox, Region};
