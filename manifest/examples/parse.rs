//! Reads a CSV file with this crate and with `csv`, in turns, and prints the rows a second of each run as JSON.

use manifest::{Limits, Reader};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Instant;

const RUNS: usize = 5;

#[allow(clippy::print_stdout, reason = "the result of the program")]
fn main() {
    let path = std::env::args_os().nth(1).expect("the path of a CSV file");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(rows_a_second(|| with_manifest(Path::new(&path))));
        theirs.push(rows_a_second(|| with_csv(Path::new(&path))));
    }
    println!("{}", serde_json::json!({ "ours": ours, "csv": theirs }));
}

#[allow(clippy::cast_precision_loss, reason = "millions of rows")]
fn rows_a_second(read: impl Fn() -> usize) -> f64 {
    let begun = Instant::now();
    read() as f64 / begun.elapsed().as_secs_f64()
}

fn with_manifest(path: &Path) -> usize {
    let file = File::open(path).expect("the file");
    let bytes = file.metadata().expect("its size").len();
    let mut reader = Reader::open(file, bytes, Limits::default()).expect("a manifest");
    let mut rows = 0;
    while let Some(record) = reader.next().expect("a record") {
        rows += usize::from(record.content.is_ok());
    }
    rows
}

fn with_csv(path: &Path) -> usize {
    let mut reader = csv::Reader::from_reader(BufReader::new(File::open(path).expect("the file")));
    let mut record = csv::StringRecord::new();
    let mut rows = 0;
    while reader.read_record(&mut record).expect("a record") {
        rows += 1;
    }
    rows
}
