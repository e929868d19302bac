//! Tests of words, keys and errors, and properties of all rows. Tables of single values are in the submodules.

mod columns;
mod metadata;
mod videos;

use super::*;
use crate::code::Code;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The fields of a row.
fn row(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("{other} is no row"),
    }
}

/// Checks that a row is refused with this field and code, and that the detail contains a text.
fn assert_refused<T: std::fmt::Debug>(read: Result<T, RowError>, field: &str, code: Code, detail: &str) {
    let error = read.unwrap_err();
    assert_eq!((error.field.as_str(), error.code), (field, code), "{error}");
    assert!(error.detail.contains(detail), "{error}");
}

#[test]
fn a_kind_has_one_word_everywhere() {
    for kind in Kind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.to_string());
        assert_eq!(serde_json::from_value::<Kind>(kind.as_str().into()).unwrap(), kind);
    }
    for other in ["", "Videos", "fact", " videos"] {
        assert_eq!(other.parse::<Kind>(), Err(UnknownKind));
    }
}

#[test]
fn a_status_has_one_word_everywhere() {
    for status in ImportStatus::ALL {
        assert_eq!(serde_json::to_value(status).unwrap(), status.to_string());
        assert_eq!(ImportStatus::from_word(status.as_str()), Some(status));
    }
    for status in RowStatus::ALL {
        assert_eq!(serde_json::to_value(status).unwrap(), status.to_string());
        assert_eq!(RowStatus::from_word(status.as_str()), Some(status));
    }
    assert_eq!(ImportStatus::DoneWithErrors.as_str(), "done_with_errors");
    let open = ImportStatus::ALL.into_iter().filter(|status| !status.has_ended());
    assert_eq!(
        open.map(ImportStatus::as_str).collect::<Vec<_>>(),
        ["received", "staging", "running"]
    );
    let open = RowStatus::ALL.into_iter().filter(|status| !status.has_ended());
    assert_eq!(open.map(RowStatus::as_str).collect::<Vec<_>>(), ["pending", "working"]);
    assert_eq!(
        (ImportStatus::from_word("Done"), RowStatus::from_word("")),
        (None, None)
    );
}

#[test]
fn rows_of_one_external_id_have_one_key() {
    let key = |kind, value| row_key(kind, &row(value));
    let of_id = key(Kind::Videos, json!({"external_id": "a", "title": "1"}));
    assert_eq!(of_id, "external_id:a");
    assert_eq!(of_id, key(Kind::Videos, json!({"external_id": " a ", "title": "2"})));
    assert_eq!(
        of_id,
        key(Kind::Metadata, json!({"external_id": "a", "video_id": null}))
    );
    // The external id of another video.
    let changed = |id: i64| key(Kind::Metadata, json!({"video_id": id, "external_id": "a"}));
    assert_ne!(changed(1), changed(2));
    // Not an external id.
    let two = [
        json!({"external_id": 5, "title": "1"}),
        json!({"external_id": 5, "title": "2"}),
    ];
    let [one, two] = two.map(|value| key(Kind::Videos, value));
    assert_ne!(one, two);
}

#[test]
fn the_key_of_other_rows_is_their_content() {
    let key = |kind, value| row_key(kind, &row(value));
    let fields = json!({"title": "a", "meta": {"b": [1, {"d": null, "c": "\""}], "a": 2}});
    let expected = r#"fields:{"meta":{"a":2,"b":[1,{"c":"\"","d":null}]},"title":"a"}"#;
    assert_eq!(key(Kind::Videos, fields), expected);
    assert_eq!(key(Kind::Videos, json!({"region": null})), "fields:{}");
    // A null changes a video.
    assert_eq!(
        key(Kind::Metadata, json!({"region": null})),
        r#"fields:{"region":null}"#
    );
    // An external id that looks like a row.
    let same = json!({"external_id": "fields:{}"});
    assert_ne!(key(Kind::Videos, same), key(Kind::Videos, json!({})));
}

#[test]
fn a_refused_value_is_cut_and_quoted() {
    let read = |value: Value| read_video(&row(value)).unwrap_err();
    let long = read(json!({"upload_id": "_".repeat(200)}));
    assert_eq!(
        long.detail,
        format!("\"{}…\"; accepted: 1 to 100 of A-Z, a-z, 0-9 and -", "_".repeat(100))
    );
    let list = read(json!({"lat": vec![1; 1_000]}));
    assert!(
        list.detail.starts_with("[1,1,") && list.detail.contains("1…; accepted: -90 to 90"),
        "{list}"
    );
    let quote = read(json!({"lat": "\"\0\u{85}"}));
    assert_eq!(quote.detail, "\"\\\"\\u0000\u{fffd}\"; accepted: -90 to 90");
    let name = read(json!({ ("\0".to_owned() + &"x".repeat(1_000)): 1 }));
    assert_eq!(name.field, format!("\u{fffd}{}…", "x".repeat(99)));
}

/// Any JSON of a small depth, with texts that are often valid or nearly so.
fn values() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        "[-+]?[0-9]{1,4}[.,]?[0-9]{0,3}",
        "https?://[a-z]{0,5}",
        "[a-z]{1,5}(;[a-z]{0,5}){0,3}",
        Just("{\"outputs\":[{\"kind\":\"mp4\"}]}".to_owned()),
        Just("{\"outputs\":[{\"kind\":\"\\u0000\",\"\\u0000\":1}]}".to_owned()),
        Just("NaN".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-200.0..200.0).prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(".{0,6}", inner, 0..4)
                .prop_map(|object| Value::Object(object.into_iter().collect())),
        ]
    })
}

/// Rows whose fields are mostly known.
fn rows() -> impl Strategy<Value = Map<String, Value>> {
    let known = proptest::sample::select(vec![
        "source_url",
        "upload_id",
        "video_id",
        "title",
        "description",
        "tags",
        "preset",
        "recipe",
        "external_id",
        "region",
        "lat",
        "lon",
        "meta",
        "meta.a",
        "meta.b",
    ]);
    let name = prop_oneof![20 => known.prop_map(str::to_owned), 1 => any::<String>()];
    proptest::collection::btree_map(name, values(), 0..5).prop_map(|fields| fields.into_iter().collect())
}

/// Checks what any database and client may rely on.
fn check_error(error: &RowError) -> Result<(), TestCaseError> {
    prop_assert!(
        error.field.chars().count() <= 101 && error.detail.chars().count() <= 1_001,
        "{}",
        error
    );
    prop_assert!(
        !error.field.contains(char::is_control) && !error.detail.contains(char::is_control),
        "{:?}",
        error
    );
    prop_assert!(
        error.detail.contains("accepted") || error.code == Code::RecipeInvalid,
        "{}",
        error
    );
    prop_assert!(error.code.status() == 400 && error.code.class().is_none() || error.code == Code::RecipeInvalid);
    Ok(())
}

proptest! {
    #[test]
    fn any_row_is_read_or_refused_with_a_storable_error(fields in rows()) {
        match read_video(&fields) {
            Err(error) => check_error(&error)?,
            Ok(read) => {
                let metadata = Value::Object(read.details.metadata).to_string();
                prop_assert!(!metadata.contains("\\u0000"), "{}", metadata);
            }
        }
        match read_metadata(&fields) {
            Err(error) => check_error(&error)?,
            Ok(read) => prop_assert!(!read.changes.is_empty()),
        }
        let _ = (row_key(Kind::Videos, &fields), row_key(Kind::Metadata, &fields));
    }

    #[test]
    fn a_null_of_a_video_row_is_the_same_as_an_absent_field(fields in rows()) {
        let present: Map<String, Value> =
            fields.clone().into_iter().filter(|(_, value)| !value.is_null()).collect();
        let is_known = fields.keys().all(|name| read_video(&row(json!({ name.as_str(): null }))).is_ok());
        if is_known {
            prop_assert_eq!(read_video(&fields), read_video(&present));
        }
        prop_assert_eq!(row_key(Kind::Videos, &fields), row_key(Kind::Videos, &present));
    }

    /// The key is the JSON of the fields, so different fields have different keys.
    #[test]
    fn the_key_without_an_external_id_can_be_read_back(
        fields in proptest::collection::btree_map(any::<String>(), any::<(i64, String)>(), 0..5),
    ) {
        let fields = fields.into_iter().filter(|(name, _)| name != "external_id");
        let fields: Map<String, Value> = fields.map(|(name, value)| (name, json!({"x": value}))).collect();
        let key = row_key(Kind::Metadata, &fields);
        let text = key.strip_prefix("fields:").unwrap();
        prop_assert_eq!(serde_json::from_str::<Map<String, Value>>(text).unwrap(), fields);
    }

    #[test]
    fn degrees_are_read_from_numbers_and_text(lat in -100.0..100.0_f64, lon in -200.0..200.0_f64) {
        let number = read_video(&row(json!({"lat": lat, "lon": lon})));
        let text = read_video(&row(json!({"lat": lat.to_string(), "lon": lon.to_string()})));
        let is_accepted = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
        let expected = is_accepted.then_some(Location { lat, lon });
        prop_assert_eq!(number.ok().and_then(|row| row.location), expected);
        prop_assert_eq!(text.ok().and_then(|row| row.location), expected);
    }
}
