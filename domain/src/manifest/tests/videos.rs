//! Tests of rows that create videos.

use super::{assert_refused, row};
use crate::code::Code;
use crate::manifest::{Choice, Details, Location, Source, VideoRow, read_video};
use crate::recipe::Output;
use serde_json::{Value, json};

fn read(value: Value) -> VideoRow {
    read_video(&row(value)).unwrap()
}

#[test]
fn a_row_of_csv_is_read() {
    let found = read(json!({
        "source_url": " HTTPS://example.com/a.mp4?sig=x ",
        "title": " El Niño ", "description": "one\ntwo", "tags": "weather; coast;weather",
        "preset": "hls", "external_id": "a-1", "region": "Piura", "lat": "-5.19", "lon": " -80.63",
        "meta.year": "2026", "meta.a.b": "c",
    }));
    let expected = VideoRow {
        source: Some(Source::Url("HTTPS://example.com/a.mp4?sig=x".to_owned())),
        details: Details {
            title: Some("El Niño".to_owned()),
            description: Some("one\ntwo".to_owned()),
            tags: Some(vec!["weather".to_owned(), "coast".to_owned()]),
            visibility: None,
            external_id: Some("a-1".to_owned()),
            region: Some("Piura".to_owned()),
            metadata: row(json!({"year": "2026", "a.b": "c"})),
        },
        choice: Choice::Preset("hls".to_owned()),
        location: Some(Location {
            lat: -5.19,
            lon: -80.63,
        }),
    };
    assert_eq!(found, expected);
}

#[test]
fn a_row_of_jsonl_is_read() {
    let found = read(json!({
        "upload_id": "Ab-9", "tags": ["a;b", "c"], "title": null, "lat": 90, "lon": -180.0,
        "recipe": {"outputs": [{"kind": "mp4"}]}, "meta": {"a": {"b": null, "c": 1}, "d": null}, "meta.e": [true],
    }));
    assert_eq!(found.source, Some(Source::Upload("Ab-9".to_owned())));
    assert_eq!(found.details.tags.unwrap(), ["a;b", "c"]);
    assert_eq!(found.details.metadata, row(json!({"a": {"c": 1}, "e": [true]})));
    assert_eq!(found.location, Some(Location { lat: 90.0, lon: -180.0 }));
    let Choice::Recipe(recipe) = found.choice else {
        panic!("{:?}", found.choice);
    };
    assert!(matches!(recipe.outputs.as_slice(), [Output::Mp4(_)]));
}

#[test]
fn a_recipe_is_an_object_or_its_text() {
    let recipe = json!({"outputs": [{"kind": "mp4", "video": {"crf": 23}}, {"kind": "poster"}]});
    let object = read(json!({"upload_id": "a", "recipe": recipe}));
    assert_eq!(object, read(json!({"upload_id": "a", "recipe": recipe.to_string()})));
    for (recipe, field, detail) in [
        (json!("mp4"), "recipe", "not JSON: line 1, column 1"),
        (json!(""), "recipe", "empty; accepted: JSON"),
        (json!(5), "recipe", "5; accepted: an object, or its JSON as text"),
        (json!([]), "recipe", "[]; accepted: an object"),
        (json!({}), "recipe.outputs", "This field is missing"),
        (
            json!(r#"{"outputs":[{"kind":"mp4","kind":"gif"}]}"#),
            "recipe.outputs[0].kind",
            "given twice",
        ),
        (
            json!({"outputs": [{"kind": "mp3"}]}),
            "recipe.outputs[0].kind",
            "accepted: mp4, webm",
        ),
        (
            json!({"outputs": [{"kind": "mp4", "crf": 1}]}),
            "recipe.outputs[0].crf",
            "unknown field; accepted: ",
        ),
        (
            json!({"outputs": [{"kind": "mp4", "video": {"crf": 99}}]}),
            "recipe.outputs[0].video.crf",
            "99; accepted",
        ),
    ] {
        let read = read_video(&row(json!({"upload_id": "a", "recipe": recipe})));
        assert_refused(read, field, Code::RecipeInvalid, detail);
    }
}

#[test]
fn a_row_needs_a_source_except_for_a_dry_run_with_a_location() {
    let location = read(json!({"lat": "1", "lon": "2"}));
    assert_eq!(location.check_source(true), Ok(()));
    assert_refused(
        location.check_source(false),
        "source_url",
        Code::SourceMissing,
        "source_url or upload_id",
    );
    let title = read(json!({"title": "a"}));
    assert_refused(
        title.check_source(true),
        "source_url",
        Code::SourceMissing,
        "or lat and lon",
    );
    let upload = read(json!({"upload_id": "a"}));
    assert_eq!(
        (upload.check_source(false), upload.check_source(true)),
        (Ok(()), Ok(()))
    );
}

#[test]
fn sources_are_refused() {
    let long = format!("http://{}", "x".repeat(8_186));
    for url in [
        "",
        "ftp://a/b",
        "file:///a",
        "example.com/a",
        "//example.com",
        "http:a",
        "http://",
        "http://a\nb",
        "http://a\0",
        &long,
    ] {
        let read = read_video(&row(json!({ "source_url": url })));
        assert_refused(
            read,
            "source_url",
            Code::SourceUrlInvalid,
            "begins with http:// or https://",
        );
    }
    // The host is checked by the caller, with the rules for addresses.
    for url in ["http://127.0.0.1/", &long[..long.len() - 1]] {
        assert_eq!(
            read(json!({ "source_url": url })).source,
            Some(Source::Url(url.to_owned()))
        );
    }
    for id in ["", "a_b", "a/b", "ñ", "a b", "a\0", &"a".repeat(101)] {
        let read = read_video(&row(json!({ "upload_id": id })));
        assert_refused(
            read,
            "upload_id",
            Code::UploadIdInvalid,
            "accepted: 1 to 100 of A-Z, a-z, 0-9 and -",
        );
    }
    let both = read_video(&row(json!({"source_url": "http://a", "upload_id": "a"})));
    assert_refused(both, "upload_id", Code::SourceTwice, "one of source_url and upload_id");
    let hidden = format!("{:?}", read(json!({"source_url": "http://a/?secret"})));
    assert!(!hidden.contains("secret"), "{hidden}");
}

#[test]
fn locations_are_refused() {
    for (lat, detail) in [
        (json!("95.2"), r#""95.2"; accepted: -90 to 90"#),
        (json!(95.2), "95.2; accepted: -90 to 90"),
        (json!("NaN"), r#""NaN"; accepted"#),
        (json!("1,5"), r#""1,5"; accepted: -90 to 90, with a decimal point"#),
        (json!("inf"), "accepted"),
        (json!("-infinity"), "accepted"),
        (json!("1e400"), "accepted"),
        (json!(""), r#""""#),
        (json!("5°"), "accepted"),
        (json!("0x5"), "accepted"),
        (json!(-90.000_001), "accepted"),
        (json!(u64::MAX), "accepted"),
        (json!(true), "true"),
        (json!([1]), "[1]"),
    ] {
        let read = read_video(&row(json!({"lat": lat, "lon": 1})));
        assert_refused(read, "lat", Code::LatitudeInvalid, detail);
    }
    let read = |value: Value| read_video(&row(value));
    let east = read(json!({"lat": 1, "lon": "180.1"}));
    assert_refused(east, "lon", Code::LongitudeInvalid, r#""180.1"; accepted: -180 to 180"#);
    assert_refused(
        read(json!({"lat": 1})),
        "lon",
        Code::LocationIncomplete,
        "lon is missing",
    );
    assert_refused(
        read(json!({"lon": "1", "lat": null})),
        "lat",
        Code::LocationIncomplete,
        "lat is missing",
    );
}

/// Checks that the value of a field is refused with this code, and that the detail contains a text.
fn assert_values_refused(field: &str, code: Code, values: Vec<(Value, &str)>) {
    for (value, detail) in values {
        let read = read_video(&row(json!({"upload_id": "a", field: value})));
        assert_refused(read, field, code, detail);
    }
}

#[test]
fn texts_are_refused() {
    let titles = vec![
        (json!("x".repeat(201)), "accepted: 1 to 200 characters in one line"),
        (json!("a\0"), r#""a\u0000"; accepted: 1"#),
        (json!(" "), "accepted"),
        (json!(5), "5; accepted: text"),
    ];
    assert_values_refused("title", Code::TitleInvalid, titles);
    let descriptions = vec![
        (json!("x".repeat(5_001)), "up to 5000 characters"),
        (json!("a\0"), "accepted"),
        (json!(["a"]), r#"["a"]; accepted: text"#),
    ];
    assert_values_refused("description", Code::DescriptionInvalid, descriptions);
    let regions = vec![
        (json!("a\nb"), "1 to 100 characters in one line"),
        (json!({}), "{}; accepted: text"),
    ];
    assert_values_refused("region", Code::RegionInvalid, regions);
    let ids = vec![
        (json!("x".repeat(101)), "1 to 100 characters"),
        (json!(7), "7; accepted: text"),
    ];
    assert_values_refused("external_id", Code::ExternalIdInvalid, ids);
    let presets = vec![
        (json!("HLS 1"), r#""HLS 1"; accepted: 1 to 40 of a-z"#),
        (json!(1), "1; accepted: text"),
    ];
    assert_values_refused("preset", Code::PresetUnknown, presets);
}

#[test]
fn tags_are_refused() {
    let many: Vec<String> = (0..21).map(|tag| tag.to_string()).collect();
    let tags = vec![
        (json!("a,b"), r#""a,b"; accepted: up to 20 tags"#),
        (json!("a,b"), "without commas; separated by semicolons"),
        (json!("a;;b"), "1 to 100 characters"),
        (json!(""), "1 to 100 characters"),
        (json!("x".repeat(101)), "1 to 100 characters"),
        (json!(["a", "b\0"]), "1 to 100 characters"),
        (json!(["a", 5]), "an array of texts"),
        (json!({"a": 1}), "an array of texts"),
        (json!(many), "up to 20 tags"),
    ];
    assert_values_refused("tags", Code::TagsInvalid, tags);
    assert_eq!(
        read(json!({"tags": many[1..].join(";")})).details.tags.unwrap().len(),
        20
    );
}

#[test]
fn metadata_and_unknown_fields_are_refused() {
    let values = vec![
        (json!("b\0"), "without NUL characters"),
        (json!([{"b": {"\0": 1}}]), "without NUL characters"),
    ];
    assert_values_refused("meta.a", Code::MetadataInvalid, values);
    let objects = vec![
        (json!("a"), r#""a"; accepted: an object"#),
        (json!({"a": "x".repeat(16_384)}), "up to 16384 bytes"),
    ];
    assert_values_refused("meta", Code::MetadataInvalid, objects);
    for field in ["views", "meta.", "video_id"] {
        let detail = format!("{field:?}; accepted: source_url, upload_id,");
        assert_values_refused(field, Code::ColumnUnknown, vec![(json!(1), &detail)]);
        assert_values_refused(field, Code::ColumnUnknown, vec![(json!(null), "lon, meta, meta.NAME")]);
    }
}

#[test]
fn combinations_are_refused() {
    let both = read_video(&row(json!({"preset": "web", "recipe": "{}"})));
    assert_refused(both, "recipe", Code::PresetAndRecipe, "one of preset and recipe");
    let twice = read_video(&row(json!({"meta": {"a": 1}, "meta.a": 2})));
    assert_refused(
        twice,
        "meta.a",
        Code::MetadataInvalid,
        "2; accepted: a key that is not in meta",
    );
    let absent = read(json!({"meta": {"a": 1}, "meta.a": null}));
    assert_eq!(absent.details.metadata, row(json!({"a": 1})));
    let nul = read_video(&row(json!({"meta": {"a": 1, "\0": 2}})));
    assert_refused(nul, "meta.\u{fffd}", Code::MetadataInvalid, "without NUL");
}
