//! A region of a map.

use crate::error::Error;
use crate::limits::Limits;
use crate::rings::Rings;
use crate::text::geo_json;
use geo::{BoundingRect, LineString, MultiPolygon, Polygon, Simplify};
use geozero::GeozeroGeometry;
use geozero::error::GeozeroError;
use geozero::geojson::GeoJson;
use geozero::wkb::{process_ewkb_geom, process_wkb_geom};

/// Tolerance of the middle precision in degrees.
const MID: f64 = 0.001;
/// Tolerance of the lowest precision in degrees.
const LOW: f64 = 0.01;
/// Positions of a ring that are simplified together, those at both ends included.
const PART: usize = 256;
/// The flags in the type of EWKB: height, measure, reference system.
const EWKB_FLAGS: u32 = 0xE000_0000;

/// A box in degrees (WGS 84).
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "explained by their names")]
pub struct BoundingBox {
    pub min_lon: f64,
    pub min_lat: f64,
    pub max_lon: f64,
    pub max_lat: f64,
}

/// A polygon or multipolygon as GeoJSON text, in three precisions.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// The box around all positions.
    pub bbox: BoundingBox,
    /// With all positions.
    pub full: String,
    /// Without positions within 0.001° of the line between others.
    pub mid: String,
    /// Without positions within 0.01° of the line between others.
    pub low: String,
}

impl Region {
    /// Reads WKB or EWKB as hexadecimal digits, or a geometry or feature of GeoJSON.
    ///
    /// # Errors
    /// The text is damaged, or is no polygon on the map.
    pub fn parse(text: &str, limits: Limits) -> Result<Self, Error> {
        let text = text.trim();
        let mut rings = Rings::new(limits);
        let parsed = if text.starts_with('{') {
            GeoJson(text).process_geom(&mut rings)
        } else {
            let bytes = hex::decode(text).map_err(|error| Error::Damaged {
                detail: error.to_string(),
            })?;
            let mut rest = bytes.as_slice();
            let parsed = if is_extended(&bytes) {
                process_ewkb_geom(&mut rest, &mut rings)
            } else {
                process_wkb_geom(&mut rest, &mut rings)
            };
            match rest.len() {
                0 => parsed,
                more => parsed.and_then(|()| Err(GeozeroError::Geometry(format!("{more} bytes behind its end")))),
            }
        };
        if let Some(refusal) = rings.refusal {
            return Err(refusal);
        }
        parsed.map_err(|error| Error::Damaged {
            detail: error.to_string().replace(char::is_control, "\u{fffd}"),
        })?;
        Self::of(rings.polygons).ok_or_else(|| Error::Damaged {
            detail: "no polygon".to_owned(),
        })
    }

    fn of(polygons: Vec<Polygon>) -> Option<Self> {
        let bounds = MultiPolygon(polygons.clone()).bounding_rect()?;
        let simplified = |tolerance: f64| polygons.iter().map(|polygon| simplified(polygon, tolerance)).collect();
        let (mid, low) = (geo_json(simplified(MID)), geo_json(simplified(LOW)));
        Some(Self {
            bbox: BoundingBox {
                min_lon: bounds.min().x,
                min_lat: bounds.min().y,
                max_lon: bounds.max().x,
                max_lat: bounds.max().y,
            },
            full: geo_json(polygons),
            mid,
            low,
        })
    }
}

/// A polygon without positions within `tolerance` of the line between others. Holes that collapse are left out.
fn simplified(polygon: &Polygon, tolerance: f64) -> Polygon {
    // Three different positions, and the first one again.
    let is_ring = |ring: &LineString| ring.0.len() >= 4;
    let exterior = simplified_ring(polygon.exterior(), tolerance);
    let holes = polygon.interiors().iter().map(|ring| simplified_ring(ring, tolerance));
    if is_ring(&exterior) {
        Polygon::new(exterior, holes.filter(is_ring).collect())
    } else {
        polygon.clone()
    }
}

/// A ring simplified in parts: `geo` recurses once for each position that it keeps, so a long ring made for it exceeds
/// the stack, and takes time by the square of its positions. A ring of one part is simplified as a whole.
fn simplified_ring(ring: &LineString, tolerance: f64) -> LineString {
    let mut kept: Vec<geo::Coord> = Vec::new();
    let mut rest = ring.0.as_slice();
    while rest.len() > 1 {
        let (part, _) = rest.split_at(rest.len().min(PART));
        kept.pop();
        kept.extend(LineString(part.to_vec()).simplify(tolerance).0);
        rest = rest.get(part.len() - 1..).unwrap_or_default();
    }
    LineString(kept)
}

/// The bytes have the flags of EWKB.
fn is_extended(bytes: &[u8]) -> bool {
    let Some((order, rest)) = bytes.split_first() else {
        return false;
    };
    let Some(kind) = rest.first_chunk::<4>() else {
        return false;
    };
    let kind = match order {
        0 => u32::from_be_bytes(*kind),
        _ => u32::from_le_bytes(*kind),
    };
    kind & EWKB_FLAGS != 0
}

#[cfg(test)]
mod tests;
