//! Accepted and refused geometries.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Two triangles, one with a hole, clockwise.
fn polygons() -> Value {
    json!([
        [[[0, 0], [0, 9], [9, 0], [0, 0]], [[1, 1], [2, 1], [1, 2], [1, 1]]],
        [[[20, 0], [20, 5], [25, 0], [20, 0]]],
    ])
}

fn parse(text: &str) -> Result<Region, Error> {
    Region::parse(text, Limits::default())
}

fn json_of(kind: &str, coordinates: &Value) -> String {
    json!({"type": kind, "coordinates": coordinates}).to_string()
}

/// WKB of a multipolygon (OGC 06-103r4 §8.2.6), with the flag and the number of a reference system if one is given.
fn wkb(polygons: &Value, is_big_endian: bool, srid: Option<u32>) -> String {
    let mut bytes = Vec::new();
    let number = |bytes: &mut Vec<u8>, value: u32| {
        bytes.extend(if is_big_endian {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        });
    };
    let list = |value: &Value| value.as_array().unwrap().clone();
    bytes.push(u8::from(!is_big_endian));
    number(&mut bytes, 6 | srid.map_or(0, |_| 0x2000_0000));
    if let Some(srid) = srid {
        number(&mut bytes, srid);
    }
    let count = |value: &Value| u32::try_from(list(value).len()).unwrap();
    number(&mut bytes, count(polygons));
    for polygon in list(polygons) {
        bytes.push(u8::from(!is_big_endian));
        number(&mut bytes, 3);
        number(&mut bytes, count(&polygon));
        for ring in list(&polygon) {
            number(&mut bytes, count(&ring));
            for degrees in list(&ring).iter().flat_map(list) {
                let degrees = degrees.as_f64().unwrap();
                bytes.extend(if is_big_endian {
                    degrees.to_be_bytes()
                } else {
                    degrees.to_le_bytes()
                });
            }
        }
    }
    hex::encode(bytes)
}

#[test]
fn all_forms_of_a_geometry_are_the_same_region() {
    let expected = parse(&json_of("MultiPolygon", &polygons())).unwrap();
    let bbox = expected.bbox;
    assert_eq!(
        [bbox.min_lon, bbox.min_lat, bbox.max_lon, bbox.max_lat],
        [0.0, 0.0, 25.0, 9.0]
    );
    let oriented = json!([
        [[[0, 0], [9, 0], [0, 9], [0, 0]], [[1, 1], [1, 2], [2, 1], [1, 1]]],
        [[[20, 0], [25, 0], [20, 5], [20, 0]]],
    ]);
    assert_eq!(
        expected.full,
        r#"{"type":"MultiPolygon","coordinates":"#.to_owned() + &oriented.to_string() + "}"
    );
    let feature = json!({"type": "Feature", "properties": {"a": 1},
        "geometry": {"type": "MultiPolygon", "coordinates": polygons()}});
    for text in [
        feature.to_string(),
        wkb(&polygons(), false, None),
        wkb(&polygons(), true, None).to_uppercase(),
        format!(" {}\n", wkb(&polygons(), false, Some(4326))),
    ] {
        assert_eq!(parse(&text), Ok(expected.clone()), "{text}");
    }
}

#[test]
fn heights_are_dropped_and_coordinates_are_rounded() {
    let ring = json!([[[0.123_456_789, 0, 7], [1, 0, 7], [1, 1, 7], [0.123_456_789, 0, 7]]]);
    let region = parse(&json_of("Polygon", &ring)).unwrap();
    assert_eq!(
        region.full,
        r#"{"type":"Polygon","coordinates":[[[0.1234568,0],[1,0],[1,1],[0.1234568,0]]]}"#
    );
}

#[test]
fn a_text_that_ends_early_or_late_is_damaged() {
    let damaged = |text: &str| matches!(parse(text), Err(Error::Damaged { .. }));
    let whole = wkb(&polygons(), false, None);
    assert!(damaged(&whole[..whole.len() - 2]));
    assert!(damaged(&(whole.clone() + "00")));
    assert!(damaged(&"[".repeat(100_000)));
    assert!(damaged(&format!(
        r#"{{"type":"Polygon","coordinates":{}"#,
        "[".repeat(100_000)
    )));
}

#[test]
fn each_refused_geometry_has_its_reason() {
    let ring = |ring: Value| json_of("Polygon", &json!([ring]));
    let damaged = |text: &str| matches!(parse(text), Err(Error::Damaged { .. }));
    for text in [
        "",
        "0",
        "zz",
        "{",
        "{}",
        "null",
        "[]",
        r#"{"type":"Polygon"}"#,
        r#"{"type":"Polygon","coordinates":5}"#,
        r#"{"type":"MultiPolygon","coordinates":[]}"#,
        r#"{"type":"Feature","geometry":null,"properties":null}"#,
        r#"{"type":"FeatureCollection","features":[]}"#,
        "0106000000FFFFFFFF",
        "0103000000FFFFFFFF",
        "010300000001000000FFFFFFFF0000000000000000",
        "01",
        "05030000000100000000",
    ] {
        assert!(damaged(text), "{text}: {:?}", parse(text));
    }
    let whole = wkb(&polygons(), false, None);
    for (text, error) in [
        (json_of("Point", &json!([0, 0])), Error::Kind { kind: "Point" }),
        (
            json_of("LineString", &json!([[0, 0], [1, 1]])),
            Error::Kind { kind: "LineString" },
        ),
        (
            "0101000000000000000000F03F000000000000F03F".to_owned(),
            Error::Kind { kind: "Point" },
        ),
        (
            ring(json!([[0, 0], [1, 0], [1, 1], [0, 1]])),
            Error::RingOpen { positions: 4 },
        ),
        (ring(json!([[0, 0], [1, 0], [0, 0]])), Error::RingOpen { positions: 3 }),
        (json_of("Polygon", &json!([])), Error::RingOpen { positions: 0 }),
        (
            ring(json!([[0, 0], [200, 0], [1, 1], [0, 0]])),
            out_of_bounds("[200, 0]"),
        ),
        (
            ring(json!([[0, -91], [1, 0], [1, 1], [0, -91]])),
            out_of_bounds("[0, -91]"),
        ),
        (wkb(&polygons(), false, Some(3857)), out_of_bounds("SRID 3857")),
    ] {
        assert_eq!(parse(&text), Err(error), "{text}");
    }
    let small = Limits { positions: 10 };
    assert_eq!(Region::parse(&whole, small), Err(Error::TooLarge { max: 10 }));
}

fn out_of_bounds(value: &str) -> Error {
    Error::OutOfBounds {
        value: value.to_owned(),
    }
}

#[test]
fn a_polygon_stays_when_it_is_simplified() {
    let ring: Vec<[f64; 2]> = (0..=360_u32)
        .map(|degree| f64::from(degree % 360).to_radians())
        .map(|angle| [angle.cos() * 0.1, angle.sin() * 0.1])
        .collect();
    let tiny: Vec<[f64; 2]> = ring.iter().map(|[x, y]| [x * 0.01, y * 0.01]).collect();
    let positions = |text: &str| {
        let value: Value = serde_json::from_str(text).unwrap();
        value["coordinates"][0].as_array().unwrap().len()
    };
    let circle = parse(&json_of("Polygon", &json!([ring, tiny]))).unwrap();
    assert_eq!(positions(&circle.full), 361);
    assert!(
        (20..200).contains(&positions(&circle.mid)),
        "{}",
        positions(&circle.mid)
    );
    assert!((4..20).contains(&positions(&circle.low)), "{}", positions(&circle.low));
    let tiny = parse(&json_of("Polygon", &json!([tiny]))).unwrap();
    assert_eq!(positions(&tiny.low), positions(&tiny.full));
}

#[test]
fn a_ring_that_is_made_for_the_simplification_needs_no_deep_stack() {
    let positions = 64_000_u32;
    let ring: Vec<[f64; 2]> = (0..positions)
        .map(|index| {
            let part = f64::from(index) / f64::from(positions);
            let height = 80.0 * (1.0 - part) + 0.02;
            [-170.0 + 340.0 * part, if index % 2 == 0 { height } else { -height }]
        })
        .chain([[-170.0, 80.02]])
        .collect();
    let text = json_of("Polygon", &json!([ring]));
    let small = std::thread::Builder::new().stack_size(1 << 20);
    let parsed = small.spawn(move || parse(&text).is_ok()).unwrap().join();
    assert!(parsed.unwrap());
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes: Vec<u8>, text: String) {
        let _ = parse(&hex::encode(&bytes));
        let _ = parse(&text);
    }

    #[test]
    fn no_damage_makes_the_parser_panic(at: prop::sample::Index, byte: u8, end: prop::sample::Index) {
        let mut bytes = hex::decode(wkb(&polygons(), false, None)).unwrap();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        let _ = parse(&hex::encode(&bytes));
        bytes.truncate(end.index(bytes.len()));
        let _ = parse(&hex::encode(&bytes));
    }

    #[test]
    fn a_region_is_read_again_as_itself(ring in prop::collection::vec((-180.0..180.0, -90.0..90.0), 3..40)) {
        let mut ring: Vec<[f64; 2]> = ring.into_iter().map(|(x, y): (f64, f64)| [x, y]).collect();
        ring.push(ring[0]);
        let region = parse(&json_of("Polygon", &json!([ring]))).unwrap();
        let again = parse(&region.full).unwrap();
        prop_assert_eq!(&again.full, &region.full);
        prop_assert_eq!(again.bbox, region.bbox);
        for text in [&region.mid, &region.low] {
            prop_assert!(parse(text).is_ok(), "{}", text);
        }
    }
}
