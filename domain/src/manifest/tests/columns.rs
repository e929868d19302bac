//! Tests of the columns of headers.

use crate::code::Code;
use crate::manifest::{ColumnError, Kind};

fn check(kind: Kind, columns: &str, dry_run: bool) -> Result<(), ColumnError> {
    let columns: Vec<String> = columns.split(',').map(str::to_owned).collect();
    kind.check_columns(&columns, dry_run)
}

/// Checks that headers are refused with this code, and that the detail contains a text.
fn assert_refused(kind: Kind, code: Code, headers: &[[&str; 2]]) {
    for [columns, detail] in headers {
        let error = check(kind, columns, false).unwrap_err();
        assert_eq!(error.code, code, "{columns}: {error}");
        assert!(error.detail.contains(detail), "{columns}: {error}");
    }
}

#[test]
fn columns_are_accepted() {
    for columns in [
        "source_url",
        "upload_id,title",
        "source_url,upload_id,title,description,tags,preset,recipe,external_id,region,lat,lon,meta.a,meta.año b.c",
    ] {
        assert_eq!(check(Kind::Videos, columns, false), Ok(()), "{columns}");
    }
    assert_eq!(check(Kind::Videos, "lat,lon", true), Ok(()));
    for columns in [
        "video_id,title",
        "external_id,meta.a",
        "video_id,external_id",
        "video_id,external_id,title,description,tags,region,meta.x",
    ] {
        assert_eq!(check(Kind::Metadata, columns, false), Ok(()), "{columns}");
    }
    let longest = format!("source_url,meta.{}", "ñ".repeat(100));
    assert_eq!(check(Kind::Videos, &longest, false), Ok(()));
}

#[test]
fn unknown_columns_are_refused() {
    let too_long = format!("source_url,meta.{}", "x".repeat(101));
    let headers = [
        ["source_url,titel", r#""titel"; accepted: source_url, upload_id,"#],
        ["source_url,Title", "lat, lon, meta.NAME"],
        ["source_url,meta.", r#""meta.""#],
        ["source_url,meta", r#""meta""#],
        ["source_url,meta.a\0", r#""meta.a\u0000""#],
        [&too_long, "1 to 100 characters"],
        ["source_url,video_id", r#""video_id""#],
    ];
    assert_refused(Kind::Videos, Code::ColumnUnknown, &headers);
    let headers = [["video_id,preset", r#""preset"; accepted: video_id, external_id,"#]];
    assert_refused(Kind::Metadata, Code::ColumnUnknown, &headers);
}

#[test]
fn columns_without_a_name_and_repeated_ones_are_refused() {
    let headers = [
        ["source_url,,title", "column 2 of 3"],
        ["source_url, ", "column 2 of 2"],
    ];
    assert_refused(Kind::Videos, Code::ColumnUnnamed, &headers);
    let headers = [
        ["source_url,title,title", r#""title"; accepted: once"#],
        ["meta.a,meta.a", r#""meta.a"; accepted: once"#],
    ];
    assert_refused(Kind::Videos, Code::ColumnRepeated, &headers);
}

#[test]
fn headers_without_needed_columns_are_refused() {
    let headers = [
        ["title,lat,lon", "accepted: source_url or upload_id"],
        ["meta.a", "accepted: source_url or upload_id"],
    ];
    assert_refused(Kind::Videos, Code::ColumnsMissing, &headers);
    let headers = [
        ["title", "accepted: video_id or external_id"],
        ["video_id", "at least one of title"],
        ["external_id", "at least one of title"],
    ];
    assert_refused(Kind::Metadata, Code::ColumnsMissing, &headers);
    for columns in ["lat", "lon,title", "title"] {
        let error = check(Kind::Videos, columns, true).unwrap_err();
        assert_eq!(error.code, Code::ColumnsMissing, "{columns}");
    }
    assert_eq!(
        Kind::Videos.check_columns(&[], true).unwrap_err().code,
        Code::ColumnsMissing
    );
}

#[test]
fn a_header_of_many_columns_is_checked_in_linear_time() {
    let columns: Vec<String> = (0..200_000).map(|index| format!("meta.{index}")).collect();
    let error = Kind::Metadata.check_columns(&columns, false).unwrap_err();
    assert_eq!(error.code, Code::ColumnsMissing);
}
