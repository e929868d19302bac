//! The rings of a geometry while it is parsed. Each position is checked before it is kept.

use crate::error::Error;
use crate::limits::Limits;
use geo::{Coord, LineString, Polygon};
use geozero::error::{GeozeroError, Result};
use geozero::{CoordDimensions, GeomProcessor};

/// The reference system of WGS 84, in the registry of EPSG.
const WGS84: i32 = 4326;
/// Decimals of a coordinate: ten million to a degree.
const UNITS: f64 = 1e7;

/// A receiver of the parsers of `geozero` that keeps polygons.
pub(crate) struct Rings {
    limits: Limits,
    positions: usize,
    /// The rings of the polygon that is being read.
    rings: Vec<LineString>,
    /// The ring that is being read.
    ring: Vec<Coord>,
    pub(crate) polygons: Vec<Polygon>,
    /// The reason for which the parser was stopped: its own errors have none of ours.
    pub(crate) refusal: Option<Error>,
}

impl Rings {
    pub(crate) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            positions: 0,
            rings: Vec::new(),
            ring: Vec::new(),
            polygons: Vec::new(),
            refusal: None,
        }
    }

    fn refuse(&mut self, error: Error) -> Result<()> {
        self.refusal = Some(error);
        Err(GeozeroError::Geometry("refused".to_owned()))
    }

    fn refuse_kind(&mut self, kind: &'static str) -> Result<()> {
        self.refuse(Error::Kind { kind })
    }
}

impl GeomProcessor for Rings {
    /// Heights and measures are read, and dropped.
    fn dimensions(&self) -> CoordDimensions {
        CoordDimensions::xy()
    }

    fn srid(&mut self, srid: Option<i32>) -> Result<()> {
        match srid {
            None | Some(0 | WGS84) => Ok(()),
            Some(srid) => self.refuse(Error::OutOfBounds {
                value: format!("SRID {srid}"),
            }),
        }
    }

    fn xy(&mut self, x: f64, y: f64, _: usize) -> Result<()> {
        self.positions += 1;
        if self.positions > self.limits.positions {
            let max = self.limits.positions;
            return self.refuse(Error::TooLarge { max });
        }
        // No range contains NaN.
        if !(-180.0..=180.0).contains(&x) || !(-90.0..=90.0).contains(&y) {
            let value = format!("[{x}, {y}]");
            return self.refuse(Error::OutOfBounds { value });
        }
        // Adding 0 makes -0 to 0.
        let [x, y] = [x, y].map(|degrees| (degrees * UNITS).round() / UNITS + 0.0);
        self.ring.push(Coord { x, y });
        Ok(())
    }

    fn coordinate(
        &mut self,
        x: f64,
        y: f64,
        _: Option<f64>,
        _: Option<f64>,
        _: Option<f64>,
        _: Option<u64>,
        index: usize,
    ) -> Result<()> {
        self.xy(x, y, index)
    }

    fn linestring_begin(&mut self, is_tagged: bool, _: usize, _: usize) -> Result<()> {
        if is_tagged {
            return self.refuse_kind("LineString");
        }
        Ok(())
    }

    fn linestring_end(&mut self, _: bool, _: usize) -> Result<()> {
        let ring = std::mem::take(&mut self.ring);
        let positions = ring.len();
        if positions < 4 || ring.first() != ring.last() {
            return self.refuse(Error::RingOpen { positions });
        }
        self.rings.push(LineString(ring));
        Ok(())
    }

    fn polygon_end(&mut self, _: bool, _: usize) -> Result<()> {
        let mut rings = std::mem::take(&mut self.rings).into_iter();
        let Some(exterior) = rings.next() else {
            return self.refuse(Error::RingOpen { positions: 0 });
        };
        self.polygons.push(Polygon::new(exterior, rings.collect()));
        Ok(())
    }

    fn point_begin(&mut self, _: usize) -> Result<()> {
        self.refuse_kind("Point")
    }

    fn multipoint_begin(&mut self, _: usize, _: usize) -> Result<()> {
        self.refuse_kind("MultiPoint")
    }

    fn multilinestring_begin(&mut self, _: usize, _: usize) -> Result<()> {
        self.refuse_kind("MultiLineString")
    }

    fn geometrycollection_begin(&mut self, _: usize, _: usize) -> Result<()> {
        self.refuse_kind("GeometryCollection")
    }

    fn circularstring_begin(&mut self, _: usize, _: usize) -> Result<()> {
        self.refuse_kind("CircularString")
    }

    fn compoundcurve_begin(&mut self, _: usize, _: usize) -> Result<()> {
        self.refuse_kind("CompoundCurve")
    }

    fn curvepolygon_begin(&mut self, _: usize, _: usize) -> Result<()> {
        self.refuse_kind("CurvePolygon")
    }

    fn multicurve_begin(&mut self, _: usize, _: usize) -> Result<()> {
        self.refuse_kind("MultiCurve")
    }

    fn multisurface_begin(&mut self, _: usize, _: usize) -> Result<()> {
        self.refuse_kind("MultiSurface")
    }

    fn triangle_begin(&mut self, _: bool, _: usize, _: usize) -> Result<()> {
        self.refuse_kind("Triangle")
    }

    fn polyhedralsurface_begin(&mut self, _: usize, _: usize) -> Result<()> {
        self.refuse_kind("PolyhedralSurface")
    }

    fn tin_begin(&mut self, _: usize, _: usize) -> Result<()> {
        self.refuse_kind("TIN")
    }
}
