//! Lookups of points: the words that a service of the operator has for them, such as the code and the name of an area.
//!
//! The service is asked in one of two dialects ([`Dialect`]), with up to [`POINTS`] points in a call.

mod dialect;

pub use dialect::{Dialect, InvalidAnswer};

use crate::manifest::Location;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;
use utoipa::ToSchema;

/// Maximum number of points of one call.
pub const POINTS: usize = 100;

/// Decimals of degrees to which points are rounded: about 11 m. Points that round to the same one are asked once, and
/// the service does not learn more.
const DECIMALS: f64 = 10_000.0;

/// A rounded point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    /// Latitude in ten-thousandths of a degree.
    lat: i32,
    /// Longitude in ten-thousandths of a degree.
    lon: i32,
}

impl Point {
    /// Latitude in degrees.
    #[must_use]
    pub fn lat(self) -> f64 {
        f64::from(self.lat) / DECIMALS
    }

    /// Longitude in degrees.
    #[must_use]
    pub fn lon(self) -> f64 {
        f64::from(self.lon) / DECIMALS
    }
}

/// The text is none of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("accepted: a latitude and a longitude with four decimals")]
pub struct InvalidPoint;

impl FromStr for Point {
    type Err = InvalidPoint;

    fn from_str(text: &str) -> Result<Self, InvalidPoint> {
        let (lat, lon) = text.split_once(',').ok_or(InvalidPoint)?;
        let degrees = |text: &str| text.parse().map_err(|_| InvalidPoint);
        let (lat, lon) = (degrees(lat)?, degrees(lon)?);
        Ok(Location { lat, lon }.into())
    }
}

impl From<Location> for Point {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "degrees are at most 180, and the cast saturates"
    )]
    fn from(location: Location) -> Self {
        let rounded = |degrees: f64| (degrees * DECIMALS).round() as i32;
        Self {
            lat: rounded(location.lat),
            lon: rounded(location.lon),
        }
    }
}

/// The text by which points and answers are stored.
impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4},{:.4}", self.lat(), self.lon())
    }
}

/// The state of the lookup of a row; the same words in SQL and JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LookupStatus {
    /// The point of the row is not looked up, or the row has none.
    Off,
    /// The row waits for the answer.
    Waiting,
    /// The service knows the point. Final.
    Found,
    /// The service has nothing about the point. Final.
    NoData,
    /// There was no valid answer. Final, unless the row is retried.
    Failed,
}

impl LookupStatus {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Off, Self::Waiting, Self::Found, Self::NoData, Self::Failed];

    /// Returns the word in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Waiting => "waiting",
            Self::Found => "found",
            Self::NoData => "no_data",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_rounded_to_four_decimals() {
        let text = |lat, lon| Point::from(Location { lat, lon }).to_string();
        assert_eq!(text(51.792_326, -0.629_86), "51.7923,-0.6299");
        assert_eq!(text(-90.0, 180.0), "-90.0000,180.0000");
        assert_eq!(text(0.000_04, -0.000_04), "0.0000,0.0000");
    }

    #[test]
    fn points_are_read_as_they_are_written() {
        for text in ["51.7923,-0.6299", "-90.0000,180.0000", "0.0000,0.0001"] {
            assert_eq!(
                text.parse::<Point>().map(|point| point.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in ["", "1", "1,", "a,b"] {
            assert_eq!(text.parse::<Point>(), Err(InvalidPoint));
        }
    }
}
