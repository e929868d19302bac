//! The records of manifests for bulk import: CSV (RFC 4180) and JSONL, plain, gzip or zstd.
//!
//! *Problem.* A manifest comes from a user, so it may be damaged or made to exhaust this process: a quote that is never
//! closed turns the rest of the file into one field, and a megabyte of gzip unpacks into a gigabyte. It has up to
//! millions of rows. An import that is interrupted continues where its last transaction ended, and each error is
//! reported with its row, line and byte.
//!
//! *Mechanism.* Four layers, each of which holds one buffer:
//!
//! ```text
//!  Read ──► Input ──► Unpacked ──► Text ──► CsvRecords ──► Record
//!           32 KiB    gzip, zstd    record   or JsonLines
//!           failures  limits        + block
//! ```
//!
//! 1. `Input` remembers a failure of the source, because the decoders return it like damage. A failure is
//!    [`Error::Read`], which can be tried again; damage is [`Error::ArchiveDamaged`].
//! 2. `Unpacked` decodes all members of gzip and all frames of zstd, and counts the unpacked bytes against [`Limits`].
//! 3. `Text` holds the bytes of one record and at most a block more, and counts bytes and lines.
//! 4. `CsvRecords` and `JsonLines` find the end of the record. The parser of CSV keeps its state between blocks. When a
//!    record exceeds [`Limits::record_bytes`], its bytes are dropped while the search for its end goes on; so a bad
//!    record costs no memory, and the next one is read.
//!
//! The first bytes decide packing and format ([`Layout`]), never a file name. [`Reader::position`] with the layout is a
//! checkpoint: [`Reader::resume`] continues there, in this process or in another one.
//!
//! *Invariants.* A bad record never stops the others ([`RecordError`]); an [`Error`] ends the file. The records that
//! were complete before damage are returned before the error. [`Reader::position`] lies between two records, also after
//! an error. Reading from a checkpoint returns the same records, rows, lines and bytes as reading on would have. Memory
//! depends on [`Limits::record_bytes`] and not on the file: about three times its value, 16 MiB for the window of zstd,
//! and the values of one record.
//!
//! *Rejected.*
//!
//! - `csv::Reader`: it holds a record of any size, and does not tell that a quote is open at the end of the file. Its
//!   parser `csv-core` works on buffers of the caller.
//! - libzstd: a decoder in C would read hostile bytes outside of the sandbox.
//! - `csv-async`: the decoders block anyway, so all of it runs on a blocking thread.

mod csv_records;
mod error;
mod fields;
mod input;
mod json;
mod json_lines;
mod layout;
mod limits;
mod reader;
mod recognize;
mod text;
mod unpacked;
mod zstd;

pub use error::{Error, RecordError};
pub use fields::{Cells, Fields};
pub use layout::{Delimiter, Format, Layout, Packing};
pub use limits::Limits;
pub use reader::{Position, Reader, Record};
