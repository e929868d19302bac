//! Requests to services of lookups, and their answers.

use super::Point;
use crate::nul::has_nul_field;
use serde_json::{Map, Value, json};
use thiserror::Error;

/// The requests and answers of a service.
///
/// | | request | answer |
/// |---|---|---|
/// | `rushes` | `{"points":[{"lat","lon"}]}` | `{"results":[{"code","name","region",…} or null]}` |
/// | `postcodes.io` | `{"geolocations":[{"latitude","longitude","limit":1}]}` | `{"result":[{"result":[{…}]}]}` |
///
/// There are as many results as points, in the same order. The second one is that of `POST /postcodes` of
/// <https://postcodes.io/docs>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// The dialect of this service.
    #[default]
    Rushes,
    /// That of postcodes.io. Results get `code`, `name` and `region` from the postcode, the district and the region or
    /// country.
    PostcodesIo,
}

/// An answer that is none of the dialect, with what is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct InvalidAnswer(String);

impl Dialect {
    /// All dialects, with the words of the settings.
    pub const ALL: [(&'static str, Self); 2] = [("rushes", Self::Rushes), ("postcodes.io", Self::PostcodesIo)];

    /// The word of the settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rushes => "rushes",
            Self::PostcodesIo => "postcodes.io",
        }
    }

    /// The body of a request for points.
    #[must_use]
    pub fn request(self, points: &[Point]) -> Value {
        let each = |point: &Point| match self {
            Self::Rushes => json!({ "lat": point.lat(), "lon": point.lon() }),
            Self::PostcodesIo => json!({ "latitude": point.lat(), "longitude": point.lon(), "limit": 1 }),
        };
        let list: Vec<Value> = points.iter().map(each).collect();
        match self {
            Self::Rushes => json!({ "points": list }),
            Self::PostcodesIo => json!({ "geolocations": list }),
        }
    }

    /// Reads an answer to a request for `count` points. `None` for a point that the service does not know.
    ///
    /// # Errors
    /// The answer is no JSON of this dialect, has another number of results, or a NUL character, which Postgres cannot
    /// store.
    pub fn results(self, answer: &[u8], count: usize) -> Result<Vec<Option<Value>>, InvalidAnswer> {
        let mut answer: Value = serde_json::from_slice(answer).map_err(|_| InvalidAnswer("no JSON".to_owned()))?;
        let field = match self {
            Self::Rushes => "results",
            Self::PostcodesIo => "result",
        };
        let Some(Value::Array(results)) = answer.get_mut(field).map(Value::take) else {
            return Err(InvalidAnswer(format!("no array {field:?}")));
        };
        if results.len() != count {
            let found = results.len();
            return Err(InvalidAnswer(format!(
                "{found} results; accepted: {count}, one for each point"
            )));
        }
        results.into_iter().map(|result| self.result(result)).collect()
    }

    fn result(self, result: Value) -> Result<Option<Value>, InvalidAnswer> {
        let found = match (self, result) {
            (Self::Rushes, result) => result,
            // The nearest one is the first.
            (Self::PostcodesIo, Value::Object(mut result)) => match result.remove("result") {
                Some(Value::Array(found)) => found.into_iter().next().unwrap_or_default(),
                other => other.unwrap_or_default(),
            },
            (Self::PostcodesIo, result) => result,
        };
        match found {
            Value::Null => Ok(None),
            Value::Object(fields) if has_nul_field(&fields) => {
                Err(InvalidAnswer("a result with a NUL character".to_owned()))
            }
            Value::Object(mut fields) => {
                if self == Self::PostcodesIo {
                    name_fields(&mut fields);
                }
                Ok(Some(Value::Object(fields)))
            }
            _ => Err(InvalidAnswer("a result that is neither an object nor null".to_owned())),
        }
    }
}

/// Adds the fields of our dialect to a result of postcodes.io. Scotland, Wales and Northern Ireland have no regions.
fn name_fields(fields: &mut Map<String, Value>) {
    for (field, sources) in [
        ("code", &["postcode"][..]),
        ("name", &["admin_district"]),
        ("region", &["region", "country"]),
    ] {
        let text = |source: &&str| fields.get(*source).filter(|value| value.is_string()).cloned();
        if let Some(value) = sources.iter().find_map(text) {
            fields.insert(field.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails at the first error")]
    use super::*;
    use crate::manifest::Location;

    fn points(count: u32) -> Vec<Point> {
        let point = |n: u32| Location {
            lat: f64::from(n),
            lon: -0.5,
        };
        (1..=count).map(|n| Point::from(point(n))).collect()
    }

    #[test]
    fn each_dialect_asks_for_points_and_reads_one_result_for_each() {
        let request = Dialect::Rushes.request(&points(2));
        let expected = json!({ "points": [{ "lat": 1.0, "lon": -0.5 }, { "lat": 2.0, "lon": -0.5 }] });
        assert_eq!(request, expected);
        let answer = br#"{"results":[{"code":"N1","people":7},null],"more":1}"#;
        let results = Dialect::Rushes.results(answer, 2).unwrap();
        assert_eq!(results, [Some(json!({ "code": "N1", "people": 7 })), None]);

        let request = Dialect::PostcodesIo.request(&points(1));
        let expected = json!({ "geolocations": [{ "latitude": 1.0, "longitude": -0.5, "limit": 1 }] });
        assert_eq!(request, expected);
        let answer = br#"{"status":200,"result":[
            {"query":{},"result":[{"postcode":"CM8 1EF","admin_district":"Braintree","region":"East of England"}]},
            {"query":{},"result":[{"postcode":"EH1 1AA","admin_district":"Edinburgh","region":null,"country":"Scotland"}]},
            {"query":{},"result":null}]}"#;
        let results = Dialect::PostcodesIo.results(answer, 3).unwrap();
        let field = |at: usize, name: &str| results[at].as_ref().unwrap()[name].clone();
        assert_eq!(
            (field(0, "code"), field(0, "name")),
            (json!("CM8 1EF"), json!("Braintree"))
        );
        assert_eq!(
            (field(0, "region"), field(1, "region")),
            (json!("East of England"), json!("Scotland"))
        );
        assert_eq!(results[2], None);
    }

    #[test]
    fn answers_of_another_form_are_refused() {
        for answer in [
            "<html>",
            "[]",
            "{}",
            r#"{"results":{}}"#,
            r#"{"results":[{}]}"#,
            r#"{"results":[{},{},{}]}"#,
            r#"{"results":["N1",null]}"#,
            r#"{"results":[{"code":"\u0000"},null]}"#,
            r#"{"results":[{"list":[{"\u0000":1}]},null]}"#,
        ] {
            assert!(Dialect::Rushes.results(answer.as_bytes(), 2).is_err(), "{answer}");
        }
        let deep = format!("{{\"results\":[{}{},null]}}", "[".repeat(500), "]".repeat(500));
        assert!(Dialect::Rushes.results(deep.as_bytes(), 2).is_err());
    }
}
