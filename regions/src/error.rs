//! The reasons for which a text is no geometry of a region.

use thiserror::Error;

/// The reason for which a text is no geometry of a region.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Error {
    /// The text is neither WKB nor GeoJSON, or ends early.
    #[error("{detail}; accepted: WKB or EWKB as hexadecimal digits, or a geometry of GeoJSON")]
    Damaged {
        /// The first thing that is wrong.
        detail: String,
    },
    /// The geometry is no polygon.
    #[error("{kind}; accepted: Polygon, MultiPolygon")]
    Kind {
        /// Its type.
        kind: &'static str,
    },
    /// The last position of a ring is not the first one, or it has less than four positions.
    #[error("a ring of {positions} positions; accepted: rings of 4 or more, of which the last is the first")]
    RingOpen {
        /// Number of positions of the ring.
        positions: usize,
    },
    /// A position is not on the map, or its coordinates are in another reference system.
    #[error("{value}; accepted: longitudes from -180 to 180 and latitudes from -90 to 90 (WGS 84, SRID 4326)")]
    OutOfBounds {
        /// The refused value.
        value: String,
    },
    /// The geometry has too many positions.
    #[error("more than {max} positions; accepted: up to {max}")]
    TooLarge {
        /// The limit.
        max: usize,
    },
}
