//! Rows of datasets: the values that are accepted, and the error of each that is not.

use super::*;
use crate::code::Code;
use serde_json::{Value, json};

fn columns() -> FactColumns {
    let columns = json!({
        "time": "p_month", "granularity": "month", "region": "postal_code", "id": "id",
        "metrics": {"turnover": "amount", "visits": "n"}, "scales": {"visits": 0},
        "groups": {"age": "p_age", "gender": "p_gender"},
    });
    let columns: FactColumns = serde_json::from_value(columns).unwrap();
    columns.check().unwrap();
    columns
}

fn row(changes: &Value) -> Value {
    let mut row = json!({"id": 7, "p_month": "2015-01-01", "postal_code": "28001", "amount": "12.50", "n": 3,
        "p_age": "<=24", "p_gender": "F", "other": "not read"});
    let fields = row.as_object_mut().unwrap();
    fields.extend(changes.as_object().unwrap().clone());
    row
}

#[test]
fn a_row_of_facts_is_read() {
    let row = row(&json!({}));
    let fact = read_fact(&columns(), |column| row.get(column)).unwrap();
    assert_eq!(fact.id.as_deref(), Some("7"));
    assert_eq!(fact.at_s, 1_420_070_400);
    assert_eq!(fact.region, "28001");
    assert_eq!(fact.groups, ["<=24", "F", "", ""].map(str::to_owned));
    assert_eq!(fact.values, [("turnover".to_owned(), 1_250), ("visits".to_owned(), 3)]);
}

#[test]
fn each_value_that_is_not_accepted_has_a_code() {
    for (changes, field, code) in [
        (json!({"p_month": "2015-13-01"}), "p_month", Code::DateInvalid),
        (json!({"p_month": ""}), "p_month", Code::DateInvalid),
        (json!({"p_month": ["2015"]}), "p_month", Code::DateInvalid),
        (json!({"amount": "1e999"}), "amount", Code::NumberInvalid),
        (json!({"amount": "-"}), "amount", Code::NumberInvalid),
        (json!({"amount": "1,5"}), "amount", Code::NumberInvalid),
        (json!({"amount": true}), "amount", Code::NumberInvalid),
        (json!({"n": 1.5}), "n", Code::NumberInvalid),
        (json!({"amount": "", "n": null}), "amount", Code::NumberInvalid),
        (json!({"id": null}), "id", Code::RowIdInvalid),
        (json!({"p_age": "a\nb"}), "p_age", Code::GroupInvalid),
        (
            json!({"postal_code": "x".repeat(101)}),
            "postal_code",
            Code::RegionInvalid,
        ),
    ] {
        let row = row(&changes);
        let error = read_fact(&columns(), |column| row.get(column)).unwrap_err();
        assert_eq!((error.field.as_str(), error.code), (field, code), "{changes}: {error}");
    }
}

#[test]
fn a_region_needs_a_code_and_a_geometry() {
    let columns: RegionColumns = serde_json::from_value(json!({"code": "id", "name": "n", "geometry": "g"})).unwrap();
    let read = |row: Value| read_region(&columns, |column| row.get(column));
    let region = read(json!({"id": 5, "n": "Centro", "g": {"type": "Polygon"}})).unwrap();
    assert_eq!((region.code.as_str(), region.name.as_deref()), ("5", Some("Centro")));
    assert_eq!(region.geometry, r#"{"type":"Polygon"}"#);
    assert_eq!(read(json!({"g": "00"})).unwrap_err().code, Code::RegionInvalid);
    assert_eq!(
        read(json!({"id": "5", "g": ""})).unwrap_err().code,
        Code::GeometryInvalid
    );
}

#[test]
fn columns_are_checked() {
    let facts = |changes: Value| {
        let mut body = json!({"time": "t", "metrics": {"sum": "s"}});
        let fields = body.as_object_mut().unwrap();
        fields.extend(changes.as_object().unwrap().clone());
        let columns: FactColumns = serde_json::from_value(body).unwrap();
        columns.check().map_err(|error| error.field)
    };
    assert_eq!(facts(json!({})), Ok(()));
    for (changes, field) in [
        (json!({"time": ""}), "time"),
        (json!({"metrics": {}}), "metrics"),
        (json!({"metrics": {"Sum": "s"}}), "metrics.Sum"),
        (
            json!({"groups": {"a": "1", "b": "2", "c": "3", "d": "4", "e": "5"}}),
            "groups",
        ),
        (json!({"groups": {"region": "r"}}), "groups.region"),
        (json!({"groups": {"age": "\n"}}), "groups.age"),
        (json!({"scales": {"sum": 7}}), "scales.sum"),
        (json!({"scales": {"other": 1}}), "scales.other"),
        (json!({"regions": "codes"}), "region"),
        (json!({"regions": "no\u{0}name", "region": "r"}), "regions"),
    ] {
        assert_eq!(facts(changes.clone()), Err(field.to_owned()), "{changes}");
    }
}

#[test]
fn the_columns_that_a_file_lacks_are_named() {
    let header = ["p_month", "amount", "n", "id", "p_age", "unused"].map(str::to_owned);
    assert_eq!(columns().missing(&header), ["postal_code", "p_gender"]);
}
