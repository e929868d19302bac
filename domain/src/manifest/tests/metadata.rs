//! Tests of rows that change videos.

use super::{assert_refused, row};
use crate::code::Code;
use crate::manifest::{DetailChanges, MetadataRow, VideoRef, read_metadata};
use crate::video::VideoId;
use serde_json::{Value, json};

fn read(value: Value) -> MetadataRow {
    read_metadata(&row(value)).unwrap()
}

#[test]
fn a_row_names_its_video() {
    for (fields, video) in [
        (json!({"video_id": "7", "title": "a"}), VideoRef::Id(VideoId(7))),
        (json!({"video_id": 7, "title": "a"}), VideoRef::Id(VideoId(7))),
        (json!({"video_id": 7, "external_id": "x"}), VideoRef::Id(VideoId(7))),
        (
            json!({"external_id": " x ", "title": "a"}),
            VideoRef::External("x".to_owned()),
        ),
        (
            json!({"external_id": "x", "video_id": null, "title": "a"}),
            VideoRef::External("x".to_owned()),
        ),
    ] {
        assert_eq!(read(fields.clone()).video, video, "{fields}");
    }
    for id in [
        json!("07"),
        json!("+7"),
        json!(""),
        json!("x"),
        json!(7.5),
        json!(7.0),
        json!([7]),
        json!(u64::MAX),
    ] {
        let read = read_metadata(&row(json!({"video_id": id, "title": "a"})));
        assert_refused(read, "video_id", Code::VideoIdInvalid, "accepted: the id of a video");
    }
    for fields in [json!({"title": "a"}), json!({"title": "a", "external_id": null})] {
        let read = read_metadata(&row(fields));
        assert_refused(read, "video_id", Code::FieldsMissing, "video_id or external_id");
    }
}

#[test]
fn absent_values_stay_and_given_ones_change() {
    let title = read(json!({"video_id": 7, "title": "a"})).changes;
    let expected = DetailChanges {
        title: Some("a".to_owned()),
        ..DetailChanges::default()
    };
    assert_eq!(title, expected);
    let all = read(json!({
        "video_id": "7", "external_id": "x", "title": "a", "description": "d", "tags": "a;b", "region": "r",
        "meta.a": "1",
    }));
    let expected = DetailChanges {
        title: Some("a".to_owned()),
        description: Some("d".to_owned()),
        tags: Some(vec!["a".to_owned(), "b".to_owned()]),
        visibility: None,
        external_id: Some(Some("x".to_owned())),
        region: Some(Some("r".to_owned())),
        metadata: row(json!({"a": "1"})),
    };
    assert_eq!(all.changes, expected);
    let of_external = read(json!({"external_id": "x", "region": "r"}));
    assert_eq!(of_external.changes.external_id, None);
}

#[test]
fn a_null_removes_what_a_video_may_lack() {
    let found = read(json!({
        "video_id": 7, "title": null, "description": null, "tags": null, "external_id": null, "region": null,
        "meta": {"a": null, "b": {"c": null}}, "meta.d": null,
    }));
    let expected = DetailChanges {
        title: None,
        description: Some(String::new()),
        tags: Some(Vec::new()),
        visibility: None,
        external_id: Some(None),
        region: Some(None),
        metadata: row(json!({"a": null, "b": {"c": null}, "d": null})),
    };
    assert_eq!(found.changes, expected);
}

#[test]
fn rows_without_changes_are_refused() {
    for fields in [
        json!({"video_id": 7}),
        json!({"external_id": "x"}),
        json!({"video_id": 7, "title": null}),
        json!({"video_id": 7, "meta": {}}),
        json!({"external_id": "x", "meta": null}),
    ] {
        let read = read_metadata(&row(fields));
        assert_refused(read, "", Code::ChangesMissing, "accepted: at least one of title");
    }
}

#[test]
fn values_are_refused() {
    for (field, value, code, detail) in [
        ("title", json!(""), Code::TitleInvalid, r#"""; accepted: 1 to 200"#),
        ("tags", json!([","]), Code::TagsInvalid, "without commas"),
        ("external_id", json!(""), Code::ExternalIdInvalid, "1 to 100"),
        (
            "preset",
            json!("web"),
            Code::ColumnUnknown,
            "accepted: video_id, external_id",
        ),
        (
            "meta",
            json!({"a": "x".repeat(16_384)}),
            Code::MetadataInvalid,
            "up to 16384",
        ),
        ("meta.a", json!("\0"), Code::MetadataInvalid, "without NUL characters"),
    ] {
        let read = read_metadata(&row(json!({"video_id": 7, field: value})));
        assert_refused(read, field, code, detail);
    }
    let nul = read_metadata(&row(json!({"video_id": 7, "meta": {"\0": null}})));
    assert_refused(nul, "meta.\u{fffd}", Code::MetadataInvalid, "without NUL characters");
    let twice = read_metadata(&row(json!({"video_id": 7, "meta": {"a": 1}, "meta.a": null})));
    assert_refused(twice, "meta.a", Code::MetadataInvalid, "a key that is not in meta");
}
