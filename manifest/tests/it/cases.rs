//! Files of each kind that users send, and of each kind that they should not: a table of errors.

use super::files::{Chunks, FailingAfter, count, gzip, open, rows, zstd};
use manifest::{Delimiter, Error, Format, Limits, Packing, Reader, RecordError};
use serde_json::{Value, json};

/// The error that ends a file, and the number of rows before it.
fn failure(file: impl Into<Vec<u8>>, limits: Limits) -> (usize, Error) {
    let mut reader = match open(file, limits) {
        Ok(reader) => reader,
        Err(error) => return (0, error),
    };
    let mut rows = 0;
    loop {
        match reader.next() {
            Ok(record) => assert!(record.is_some(), "no error after {rows} rows"),
            Err(error) => return (rows, error),
        }
        rows += 1;
    }
}

fn failure_text(file: impl Into<Vec<u8>>) -> String {
    let (rows, error) = failure(file, Limits::default());
    format!("{rows}: {error}")
}

fn contents(file: impl Into<Vec<u8>>) -> Vec<Value> {
    let records = rows(open(file, Limits::default()).unwrap());
    records
        .into_iter()
        .map(|record| Value::Object(record.content.unwrap().into_object()))
        .collect()
}

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

#[test]
fn errors_end_a_file() {
    let table: &[(&[u8], &str)] = &[
        (b"", "0: the file has no rows"),
        (b"\xEF\xBB\xBF", "0: the file has no rows"),
        (b"\n\r\n \t\n", "0: the file has no rows"),
        (b"a,b", "0: the file has no rows"),
        (b"a,b\r\n\r\n", "0: the file has no rows"),
        (b"a,b,a\n1,2,3\n", "0: the column `a` is in the header twice"),
        (b"a,,b\n1,2,3\n", "0: column 2 of the header has no name"),
        (b"a;b;\" \"\n1;2;3\n", "0: column 3 of the header has no name"),
        (b"a,\"b\n1,2\n", "0: the quote that opens in line 1 is not closed"),
        (
            b"\n\"a\nb\",c\"\",\"b\n1,2\n",
            "0: the quote that opens in line 3 is not closed",
        ),
        (
            b"a,b\n1,2\n\"3\n4\",\"5\n6,7\n",
            "1: the quote that opens in line 4 is not closed",
        ),
        (b"a,\xE4\n1,2\n", "0: the file is not readable: the header is not UTF-8"),
        (
            b"a,\xC3\"\xA9\"\n1,2\n",
            "0: the file is not readable: the header is not UTF-8",
        ),
        (
            b"a,b\0\n1,2\n",
            "0: the file is not readable: the header contains NUL characters",
        ),
    ];
    for (file, expected) in table {
        let text = String::from_utf8_lossy(file);
        assert_eq!(failure_text(*file), *expected, "{text:?}");
        assert_eq!(failure_text(gzip(file)), *expected, "{text:?}");
        assert_eq!(failure_text(zstd(file)), *expected, "{text:?}");
    }
}

#[test]
fn utf16_is_not_readable() {
    let expected = "0: the file is not readable: the file is UTF-16; accepted: UTF-8";
    for text in ["\u{FEFF}a,b\n1,2\n", "a,b\n1,2\n", "\u{FEFF}{\"a\":1}", "{}"] {
        assert_eq!(failure_text(utf16(text, u16::to_le_bytes)), expected);
        assert_eq!(failure_text(utf16(text, u16::to_be_bytes)), expected);
    }
}

#[test]
fn a_header_has_a_limit() {
    let columns = |count: usize| (0..count).map(|n| format!("c{n}")).collect::<Vec<_>>().join(",");
    let file = |count: usize| format!("{}\n{}\n", columns(count), ",".repeat(count - 1));
    assert_eq!(contents(file(1_000)), [json!({})]);
    assert_eq!(failure_text(file(1_001)), "0: the header has more than 1000 columns");
    assert_eq!(failure_text(file(5_000)), "0: the header has more than 1000 columns");
    let too_large = format!("{},b\n1,2\n", "a".repeat(70_000));
    assert_eq!(
        failure_text(too_large),
        "0: the file is not readable: the header is too large"
    );
    let blank = " ".repeat(70_000);
    assert_eq!(
        failure_text(blank),
        "0: the file is not readable: the file begins with white space only"
    );
}

#[test]
fn the_first_bytes_decide_the_layout() {
    let csv = |delimiter, columns: &[&str]| Format::Csv {
        delimiter,
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
    };
    let table: &[(&[u8], Format)] = &[
        (b"a,b\n1,2\n", csv(Delimiter::Comma, &["a", "b"])),
        (b"\xEF\xBB\xBFa;b\n1;2\n", csv(Delimiter::Semicolon, &["a", "b"])),
        (b"a\tb,c\td\n1\t2\t3\n", csv(Delimiter::Tab, &["a", "b,c", "d"])),
        (
            b"\"a,b,\n,\";c\n1;2,,,,\n",
            csv(Delimiter::Semicolon, &["a,b,\n,", "c"]),
        ),
        (b"\r\n\nname\nvalue\n", csv(Delimiter::Comma, &["name"])),
        (b" a,b \n1,2\n", csv(Delimiter::Comma, &[" a", "b "])),
        (b"[1,2]\n1,2\n", csv(Delimiter::Comma, &["[1", "2]"])),
        (b"\xEF\xBB\xBF \r\n\t {}\n", Format::Jsonl),
        (b"{\"a\":1}", Format::Jsonl),
    ];
    for (file, format) in table {
        for (packed, packing) in [
            (file.to_vec(), Packing::Plain),
            (gzip(file), Packing::Gzip),
            (zstd(file), Packing::Zstd),
        ] {
            let reader = Reader::open(Chunks::new(packed, 1), 100, Limits::default()).unwrap();
            assert_eq!(reader.layout().format, *format, "{:?}", String::from_utf8_lossy(file));
            assert_eq!(reader.layout().packing, packing);
            assert_eq!(rows(reader).len(), 1);
        }
    }
}

#[test]
fn csv_follows_rfc_4180() {
    let file = "a,b,c\r\n1,,\"x\"\"y\"\r\n\r\n\" ,\r\n\",\u{FEFF}é,z\n\"\",\"\",\"\"\rlast,1,2";
    assert_eq!(
        contents(file),
        [
            json!({"a": "1", "c": "x\"y"}),
            json!({"a": " ,\r\n", "b": "\u{FEFF}é", "c": "z"}),
            json!({}),
            json!({"a": "last", "b": "1", "c": "2"}),
        ]
    );
    let records = rows(open(file, Limits::default()).unwrap());
    let positions: Vec<_> = records
        .iter()
        .map(|record| (record.row, record.line, record.byte))
        .collect();
    assert_eq!(positions, [(1, 2, 7), (2, 4, 20), (3, 6, 35), (4, 6, 44)]);
}

#[test]
fn jsonl_has_one_object_per_line() {
    let file = "{\"a\":1,\"b\":[null,true,-1,1.5,\"é\",{\"c\":{}}]}\r\n\n  \t\r\n {\"a\":2} ";
    assert_eq!(
        contents(file),
        [
            json!({"a": 1, "b": [null, true, -1, 1.5, "é", {"c": {}}]}),
            json!({"a": 2})
        ]
    );
    let records = rows(open(file, Limits::default()).unwrap());
    assert_eq!((records[1].row, records[1].line, records[1].byte), (2, 4, 52));
}

/// Records that are bad with a limit of 20 bytes, each behind a header or a first record.
fn bad_records() -> Vec<(&'static str, &'static [u8], RecordError)> {
    let count = |found| RecordError::ColumnCount { found, expected: 2 };
    let not_utf8 = |byte| RecordError::NotUtf8 { byte };
    let too_large = |bytes| RecordError::TooLarge { bytes, max_bytes: 20 };
    let csv = "a,b\n1,2\n";
    let jsonl = "{\"a\":1}\n";
    vec![
        (csv, b"3", count(1)),
        (csv, b"3,4,5", count(3)),
        (csv, b"3,,,,,,,,,4", count(10)),
        (csv, b"\"x\",\xE4", not_utf8(12)),
        (csv, b"\xC3,\xA9", not_utf8(8)),
        (csv, b"x,\"\xC3\"\xA9", not_utf8(11)),
        (csv, b"x,yyyyyyyyyyyyyyyyyyy", too_large(21)),
        (csv, b"x,\"yyyyyyyyy\n,zzzzzzz\"", too_large(22)),
        (
            csv,
            b"x,\"yyyyyyyyyyyyyyyyyyyyyy\r\n,yyyyyyyyyyyyyyyy\",,,,",
            too_large(49),
        ),
        (jsonl, b"{\"a\":\"\xE4\"}", not_utf8(14)),
        (jsonl, b"{\"a\":\"yyyyyyyyyyyyy\"}", too_large(21)),
    ]
}

#[test]
fn a_bad_record_does_not_stop_the_others() {
    let limits = Limits {
        record_bytes: 20,
        ..Limits::default()
    };
    for (before, bad, error) in bad_records() {
        let after = if before.starts_with('{') {
            "{\"a\":9}\n"
        } else {
            "9,9\n"
        };
        let file = [before.as_bytes(), bad, b"\n", after.as_bytes()].concat();
        for chunk in [1, 3, 1_000] {
            let reader = Reader::open(Chunks::new(file.clone(), chunk), 0, limits).unwrap();
            let records = rows(reader);
            let name = String::from_utf8_lossy(bad);
            assert_eq!(records.len(), 3, "{name}");
            assert_eq!(records[1].content, Err(error.clone()), "{name}");
            assert_eq!(records[1].byte, before.len() as u64);
            assert_eq!(records[2].byte, (before.len() + bad.len() + 1) as u64);
            assert!(records[0].content.is_ok() && records[2].content.is_ok(), "{name}");
        }
    }
}

#[test]
fn a_record_of_the_exact_limit_is_read() {
    let limits = Limits {
        record_bytes: 20,
        ..Limits::default()
    };
    for (file, rows_read) in [
        ("a,b\nx,yyyyyyyyyyyyyyyyyy\r\n1,2", 2),
        ("a,b\n1,2\nx,yyyyyyyyyyyyyyyyyy", 2),
        ("{\"a\":\"yyyyyyyyyyyy\"}\n{}", 2),
    ] {
        let records = rows(Reader::open(Chunks::new(file, 1), 0, limits).unwrap());
        assert_eq!(
            records.iter().filter(|record| record.content.is_ok()).count(),
            rows_read,
            "{file}"
        );
    }
}

#[test]
fn a_line_that_is_no_object_is_an_error_with_its_column() {
    let error = |line: &str| {
        let records = rows(open(format!("{{}}\n{line}\n{{}}"), Limits::default()).unwrap());
        assert_eq!(records.len(), 3);
        records[1].content.clone().unwrap_err().to_string()
    };
    assert_eq!(error("{\"a\":}"), "column 6: expected value");
    assert_eq!(error("{\"a\":1} x"), "column 9: trailing characters");
    assert_eq!(error("{\"a\":1"), "column 6: EOF while parsing an object");
    assert_eq!(error("[1]"), "column 0: invalid type: sequence, expected an object");
    assert_eq!(error("{\"a\":1,\"a\":2}"), "column 10: the key `a` is there twice");
    assert_eq!(
        error("{\"a\":[{\"b\":1,\"b\":2}]}"),
        "column 16: the key `b` is there twice"
    );
    assert_eq!(error("{\"a\":1e999}"), "column 10: number out of range");
    let long = error(&format!("\"{}\"", "x".repeat(1_000)));
    assert!(long.len() < 300, "{long}");
    let deep = error(&format!("{{\"a\":{}", "[".repeat(100_000)));
    assert!(deep.contains("recursion limit"), "{deep}");
}

#[test]
fn an_open_quote_behind_the_limit_of_a_record_is_reported_as_such() {
    let limits = Limits {
        record_bytes: 10,
        ..Limits::default()
    };
    let file = "a,b\n1,2\n\"x\ny\",\"z\n".to_owned() + &"1,2\n".repeat(100);
    for chunk in [1, 7, 1_000] {
        let mut reader = Reader::open(Chunks::new(file.clone(), chunk), 0, limits).unwrap();
        assert!(reader.next().unwrap().is_some());
        let before = reader.position();
        assert!(matches!(reader.next(), Err(Error::QuoteUnclosed { line: 4 })));
        assert_eq!(reader.position(), before);
        assert!(reader.next().is_err(), "it stays failed");
    }
}

#[test]
fn rows_have_a_limit() {
    let limits = Limits {
        rows: 2,
        ..Limits::default()
    };
    assert_eq!(rows(open("a\n1\n2\n\n", limits).unwrap()).len(), 2);
    let (rows, error) = failure("a\n1\n2\n3\n", limits);
    assert!(rows == 2 && matches!(error, Error::TooManyRows { max: 2 }), "{error}");
}

#[test]
fn unpacked_bytes_have_limits() {
    let limits = Limits {
        unpacked_bytes: 8,
        ..Limits::default()
    };
    assert_eq!(rows(open("a\n1\n2\n3\n", limits).unwrap()).len(), 3);
    assert!(matches!(
        failure("a\n1\n2\n3\n4", limits),
        (_, Error::UnpackedTooLarge { max_bytes: 8 })
    ));
    // 2 MiB of rows in some kilobytes.
    let row = "x".repeat(127) + "\n";
    let text = "a\n".to_owned() + &row.repeat(1 << 14);
    for packed in [gzip(text.as_bytes()), zstd(text.as_bytes())] {
        let (rows, error) = failure(packed.clone(), Limits::default());
        let max = (packed.len() as u64 * 100).max(1 << 20);
        assert!(
            matches!(error, Error::UnpackedTooLarge { max_bytes } if max_bytes == max),
            "{error}"
        );
        assert!(rows as u64 > max / 128 - 1_100, "{rows}");
        let limits = Limits {
            ratio: 10_000,
            ..Limits::default()
        };
        assert_eq!(count(open(packed, limits).unwrap()), 1 << 14);
    }
}

#[test]
fn a_gibibyte_of_zeros_ends_at_the_limit() {
    let member = gzip(&vec![0; 1 << 20]);
    let limits = Limits {
        ratio: 10,
        ..Limits::default()
    };
    let (rows, error) = failure(member.repeat(1 << 10), limits);
    assert!(rows == 0 && matches!(error, Error::UnpackedTooLarge { .. }), "{error}");
}

#[test]
fn a_failure_of_the_source_is_not_damage() {
    let text = "a,b\n".to_owned() + &(0..50_000).map(|n| format!("{n},x\n")).collect::<String>();
    for packed in [text.clone().into_bytes(), gzip(text.as_bytes()), zstd(text.as_bytes())] {
        for bytes in [0, 2, 10, packed.len() / 2, packed.len()] {
            let source = FailingAfter::new(packed.clone(), bytes);
            let error = match Reader::open(source, packed.len() as u64, Limits::default()) {
                Ok(mut reader) => loop {
                    if let Err(error) = reader.next() {
                        break error;
                    }
                },
                Err(error) => error,
            };
            assert!(
                matches!(&error, Error::Read(cause) if cause.to_string() == "unplugged"),
                "{error:?}"
            );
        }
    }
}
