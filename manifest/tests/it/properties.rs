//! Any table that the `csv` crate writes is read back, from the begin and from each of its records.

use super::files::{Chunks, gzip, rows, zstd};
use manifest::{Limits, Packing, Position, Reader, Record};
use proptest::prelude::*;
use serde_json::{Map, Value};

const LIMITS: Limits = Limits {
    unpacked_bytes: 10 << 30,
    ratio: 1_000_000,
    rows: 1_000,
    record_bytes: 1 << 20,
};

/// Pieces of which files are made, valid or not.
const PIECES: &[&[u8]] = &[b"\"", b",", b";", b"\n", b"\r", b"x", b"\xC3", b"\xA9", b"{}", b"\0"];

/// A file, and for each row its first byte, its line and its values.
#[derive(Debug)]
struct Expected {
    text: Vec<u8>,
    rows: Vec<(u64, u64, Map<String, Value>)>,
}

fn write(table: &[Vec<String>], delimiter: u8, is_crlf: bool, has_mark: bool) -> Expected {
    let mut text = if has_mark { b"\xEF\xBB\xBF".to_vec() } else { Vec::new() };
    let names: Vec<String> = (0..table[0].len()).map(|column| format!("c{column}")).collect();
    let mut append = |cells: &[String]| {
        let begin = text.len() as u64;
        let line = 1 + text.iter().filter(|byte| **byte == b'\n').count() as u64;
        let terminator = if is_crlf {
            csv::Terminator::CRLF
        } else {
            csv::Terminator::Any(b'\n')
        };
        let mut writer = csv::WriterBuilder::new();
        let mut writer = writer
            .delimiter(delimiter)
            .terminator(terminator)
            .from_writer(Vec::new());
        writer.write_record(cells).unwrap();
        text.extend(writer.into_inner().unwrap());
        let cells = names.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
        (
            begin,
            line,
            cells
                .map(|(name, cell)| (name.clone(), Value::from(cell.as_str())))
                .collect(),
        )
    };
    append(&names);
    let rows = table.iter().map(|cells| append(cells)).collect();
    Expected { text, rows }
}

fn cell() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(",".to_owned()),
        Just(";".to_owned()),
        Just("\t".to_owned()),
        Just("\"".to_owned()),
        Just("\r".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\u{FEFF}".to_owned()),
        Just("é€😀".to_owned()),
        Just("{".to_owned()),
        Just("x".repeat(40_000)),
        any::<String>(),
        "[a-z0-9 ]{0,12}",
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn table() -> impl Strategy<Value = Vec<Vec<String>>> {
    (1..6_usize).prop_flat_map(|columns| {
        let row = prop::collection::vec(cell(), columns);
        prop::collection::vec(row, 1..12)
    })
}

fn positions(mut reader: Reader) -> Vec<(Position, Record)> {
    let mut found = Vec::new();
    loop {
        let position = reader.position();
        match reader.next().unwrap() {
            Some(record) => found.push((position, record)),
            None => return found,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_is_read_back_from_each_of_its_records(
        table in table(),
        delimiter in prop::sample::select(&b",;\t"[..]),
        is_crlf: bool,
        has_mark: bool,
        chunk in 1..100_000_usize,
    ) {
        // The delimiter of a table with one column cannot be found.
        let delimiter = if table[0].len() == 1 { b',' } else { delimiter };
        let expected = write(&table, delimiter, is_crlf, has_mark);
        for (file, packing) in [
            (expected.text.clone(), Packing::Plain),
            (gzip(&expected.text), Packing::Gzip),
            (zstd(&expected.text), Packing::Zstd),
        ] {
            let bytes = file.len() as u64;
            let reader = Reader::open(Chunks::new(file.clone(), chunk), bytes, LIMITS).unwrap();
            let layout = reader.layout().clone();
            prop_assert_eq!(layout.packing, packing);
            let found = positions(reader);
            let read: Vec<_> = found
                .iter()
                .map(|(_, record)| (record.byte, record.line, record.content.clone().unwrap().into_object()))
                .collect();
            prop_assert_eq!(&read, &expected.rows);
            let records: Vec<Record> = found.iter().map(|(_, record)| record.clone()).collect();
            for (index, (position, _)) in found.iter().enumerate() {
                let begin = if packing == Packing::Plain { usize::try_from(position.byte).unwrap() } else { 0 };
                let source = Chunks::new(&file[begin..], chunk);
                let stored = serde_json::to_string(&(&layout, position)).unwrap();
                let (layout, position) = serde_json::from_str(&stored).unwrap();
                let rest = rows(Reader::resume(source, bytes, layout, position, LIMITS).unwrap());
                prop_assert_eq!(&rest, &records[index..]);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_alike_in_all_chunks(
        header in prop::sample::select(&["a,b\n", "{}\n", "a;b\r\n"][..]),
        pieces in prop::collection::vec(
            prop::sample::select(PIECES),
            0..60,
        ),
        chunk in 1..9_usize,
        record_bytes in 4..30_usize,
    ) {
        let limits = Limits { record_bytes, ..LIMITS };
        let file = [header.as_bytes(), &pieces.concat()].concat();
        let read = |chunk: usize| {
            let mut reader = Reader::open(Chunks::new(file.clone(), chunk), 0, limits).unwrap();
            let mut records = Vec::new();
            loop {
                match reader.next() {
                    Ok(Some(record)) => records.push(record),
                    Ok(None) => return (records, String::new()),
                    Err(error) => return (records, error.to_string()),
                }
            }
        };
        let (records, error) = read(chunk);
        prop_assert_eq!(&(records.clone(), error.clone()), &read(1_000));
        let is_csv = header != "{}\n";
        if is_csv {
            let delimiter = header.as_bytes()[1];
            let mut oracle = csv::ReaderBuilder::new();
            let mut oracle = oracle.delimiter(delimiter).flexible(true).from_reader(&file[..]);
            let counted = oracle.byte_records().count();
            let is_unclosed = error.contains("quote");
            prop_assert_eq!(records.len() + usize::from(is_unclosed), counted);
        }
    }
}
