//! Analytics: units of time, ranges of time and boxes on the map.
//!
//! Times are whole seconds since 1970-01-01 UTC, from 1900 to 2200, so that no arithmetic with them overflows. Weeks
//! begin on Monday (ISO 8601).

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, NaiveDateTime, NaiveTime};
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;
use utoipa::ToSchema;

/// The years of times.
const YEARS: std::ops::RangeInclusive<i32> = 1900..=2200;
const DAY_S: i64 = 86_400;

/// A unit of time; the same words in SQL, JSON and requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TimeBucket)]
pub enum Bucket {
    /// An hour.
    Hour,
    /// A day in UTC.
    Day,
    /// A week from Monday, in UTC.
    Week,
    /// A month in UTC.
    Month,
    /// A year in UTC.
    Year,
}

impl Bucket {
    /// All units, the smallest first.
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// Returns the word in SQL, JSON and requests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Returns the unit with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bucket| bucket.as_str() == word)
    }

    /// Returns `true` if facts of this unit can be added up to units of the other one. Weeks do not make months.
    #[must_use]
    pub fn divides(self, larger: Self) -> bool {
        self <= larger && (self != Self::Week || larger == Self::Week)
    }

    /// The beginning of the unit of a time.
    #[must_use]
    pub fn start(self, at_s: i64) -> i64 {
        let date = date(at_s);
        match self {
            Self::Hour => at_s - at_s.rem_euclid(3_600),
            Self::Day => at_s - at_s.rem_euclid(DAY_S),
            Self::Week => {
                let days = i64::from(date.weekday().num_days_from_monday());
                Self::Day.start(at_s) - days * DAY_S
            }
            Self::Month => seconds(date.with_day(1)),
            Self::Year => seconds(date.with_day(1).and_then(|date| date.with_month(1))),
        }
    }

    /// The beginning of the next unit.
    #[must_use]
    pub fn next(self, start_s: i64) -> i64 {
        let date = date(start_s);
        match self {
            Self::Hour => start_s + 3_600,
            Self::Day => seconds(date.checked_add_days(Days::new(1))),
            Self::Week => seconds(date.checked_add_days(Days::new(7))),
            Self::Month => seconds(date.checked_add_months(Months::new(1))),
            Self::Year => seconds(date.checked_add_months(Months::new(12))),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn date(at_s: i64) -> NaiveDate {
    DateTime::from_timestamp(at_s, 0).unwrap_or_default().date_naive()
}

fn seconds(date: Option<NaiveDate>) -> i64 {
    date.unwrap_or_default().and_time(NaiveTime::MIN).and_utc().timestamp()
}

/// Reads the time of a fact that is kept in units of `granularity`. A month is a time for units of months and years
/// only; a day is none for hours.
#[must_use]
pub fn parse_time(text: &str, granularity: Bucket) -> Option<i64> {
    let (at_s, given) = parse_instant(text)?;
    given.divides(granularity).then_some(at_s)
}

/// Reads a year, a month, a date, or a time of RFC 3339, which may lack its offset: it is UTC then. Returns the
/// beginning and the unit that was given; times are exact to the second, and count as hours.
#[must_use]
pub fn parse_instant(text: &str) -> Option<(i64, Bucket)> {
    let text = text.trim();
    let day = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
    // `%Y` would also accept signs and years of other lengths.
    let is_dated = text.bytes().take(4).filter(u8::is_ascii_digit).count() == 4;
    let (at, given) = match text.len() {
        4 => (midnight(day(&format!("{text}-01-01"))?), Bucket::Year),
        7 => (midnight(day(&format!("{text}-01"))?), Bucket::Month),
        10 => (midnight(day(text)?), Bucket::Day),
        _ => {
            let with_offset = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).ok();
            let formats = [
                "%Y-%m-%dT%H:%M:%S",
                "%Y-%m-%d %H:%M:%S",
                "%Y-%m-%dT%H:%M",
                "%Y-%m-%d %H:%M",
            ];
            let mut without = formats
                .iter()
                .filter_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
            (
                with_offset.or_else(|| without.next().map(|at| at.and_utc()))?,
                Bucket::Hour,
            )
        }
    };
    (is_dated && YEARS.contains(&at.year())).then(|| (at.timestamp(), given))
}

/// A box on the map, in degrees (WGS 84). The west of one that crosses the antimeridian is greater than its east (RFC
/// 7946 §5.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundingBox {
    /// The western longitude, -180 to 180.
    pub west: f64,
    /// The southern latitude, -90 to 90.
    pub south: f64,
    /// The eastern longitude, -180 to 180.
    pub east: f64,
    /// The northern latitude, -90 to 90.
    pub north: f64,
}

/// The error for a text that is no box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("accepted: west,south,east,north in degrees, with the south below the north")]
pub struct InvalidBox;

impl BoundingBox {
    /// Reads `west,south,east,north`.
    ///
    /// # Errors
    /// There are not four numbers, one is out of its range, or the south is not below the north.
    pub fn parse(text: &str) -> Result<Self, InvalidBox> {
        let numbers: Option<Vec<f64>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
        let Some([west, south, east, north]) = numbers.as_deref() else {
            return Err(InvalidBox);
        };
        // No range contains NaN.
        let is_lon = |number: &f64| (-180.0..=180.0).contains(number);
        let is_lat = |number: &f64| (-90.0..=90.0).contains(number);
        let is_box = is_lon(west) && is_lon(east) && is_lat(south) && is_lat(north) && south < north;
        let found = Self {
            west: *west,
            south: *south,
            east: *east,
            north: *north,
        };
        is_box.then_some(found).ok_or(InvalidBox)
    }

    /// The boxes of which none crosses the antimeridian: one, or two.
    #[must_use]
    pub fn parts(self) -> Vec<Self> {
        if self.west <= self.east {
            return vec![self];
        }
        vec![Self { east: 180.0, ..self }, Self { west: -180.0, ..self }]
    }

    /// Its width in degrees.
    #[must_use]
    pub fn width(self) -> f64 {
        self.parts().iter().map(|part| part.east - part.west).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp()
    }

    #[test]
    fn units_begin_and_end() {
        for (bucket, time, start, next) in [
            (
                Bucket::Hour,
                "2024-02-29T23:59:59Z",
                "2024-02-29T23:00:00Z",
                "2024-03-01T00:00:00Z",
            ),
            (
                Bucket::Day,
                "2024-02-29T23:59:59Z",
                "2024-02-29T00:00:00Z",
                "2024-03-01T00:00:00Z",
            ),
            (
                Bucket::Week,
                "2024-03-03T12:00:00Z",
                "2024-02-26T00:00:00Z",
                "2024-03-04T00:00:00Z",
            ),
            (
                Bucket::Week,
                "2024-03-04T00:00:00Z",
                "2024-03-04T00:00:00Z",
                "2024-03-11T00:00:00Z",
            ),
            (
                Bucket::Month,
                "2023-12-31T23:59:59Z",
                "2023-12-01T00:00:00Z",
                "2024-01-01T00:00:00Z",
            ),
            (
                Bucket::Year,
                "1969-12-31T23:59:59Z",
                "1969-01-01T00:00:00Z",
                "1970-01-01T00:00:00Z",
            ),
        ] {
            assert_eq!(bucket.start(at(time)), at(start), "{bucket} {time}");
            assert_eq!(bucket.next(at(start)), at(next), "{bucket} {start}");
        }
    }

    #[test]
    fn weeks_do_not_make_months() {
        let divides = |small: Bucket| {
            Bucket::ALL
                .into_iter()
                .filter(move |large| small.divides(*large))
                .collect()
        };
        let of = |words: &[&str]| {
            words
                .iter()
                .filter_map(|word| Bucket::from_word(word))
                .collect::<Vec<_>>()
        };
        let found: [Vec<Bucket>; 5] = Bucket::ALL.map(divides);
        assert_eq!(
            found,
            [
                of(&["hour", "day", "week", "month", "year"]),
                of(&["day", "week", "month", "year"]),
                of(&["week"]),
                of(&["month", "year"]),
                of(&["year"]),
            ]
        );
    }

    #[test]
    fn times_are_read_in_the_unit_in_which_they_are_kept() {
        for (text, granularity, time) in [
            ("2015", Bucket::Year, Some("2015-01-01T00:00:00Z")),
            ("2015", Bucket::Month, None),
            ("2015-02", Bucket::Month, Some("2015-02-01T00:00:00Z")),
            ("2015-02", Bucket::Day, None),
            ("2015-02-03", Bucket::Day, Some("2015-02-03T00:00:00Z")),
            ("2015-02-03", Bucket::Hour, None),
            ("2015-02-03T04:05:06+02:00", Bucket::Hour, Some("2015-02-03T02:05:06Z")),
            ("2015-02-03 04:05", Bucket::Day, Some("2015-02-03T04:05:00Z")),
            ("2015-13-01", Bucket::Month, None),
            ("2015-02-30", Bucket::Day, None),
            ("+201", Bucket::Year, None),
            ("1899-12-31", Bucket::Day, None),
            ("2201-01-01", Bucket::Day, None),
            ("", Bucket::Day, None),
            ("yesterday", Bucket::Day, None),
            ("2015-1-1é", Bucket::Day, None),
        ] {
            assert_eq!(parse_time(text, granularity), time.map(at), "{text} {granularity}");
        }
    }

    #[test]
    fn a_box_may_cross_the_antimeridian() {
        let width = |text: &str| BoundingBox::parse(text).map(BoundingBox::width);
        assert_eq!(width("-10,-5,10,5"), Ok(20.0));
        let crossing = BoundingBox::parse("170,-5,-170,5").unwrap();
        assert_eq!((crossing.parts().len(), crossing.width()), (2, 20.0));
        for text in [
            "1,2,3",
            "1,2,3,4,5",
            "0,5,1,-5",
            "0,0,1,0",
            "-181,0,0,1",
            "0,-91,0,1",
            "NaN,0,1,1",
            "a,0,1,1",
            "",
        ] {
            assert_eq!(width(text), Err(InvalidBox), "{text}");
        }
    }
}
