//! Errors of a file, which end it, and errors of a record, after which the next record is read.

use std::io;
use thiserror::Error;

/// Maximum length of a text from the file inside of an error, in characters.
const QUOTED_CHARS: usize = 200;

/// The error that ends a file.
#[derive(Debug, Error)]
pub enum Error {
    /// No bytes, only blank lines, or only a header.
    #[error("the file has no rows")]
    Empty,
    /// Two columns have the same name.
    #[error("the column `{name}` is in the header twice")]
    ColumnRepeated {
        /// The name, shortened.
        name: String,
    },
    /// A column has no name.
    #[error("column {number} of the header has no name")]
    ColumnUnnamed {
        /// The number of the column; the first one is 1.
        number: usize,
    },
    /// The header has too many columns.
    #[error("the header has more than {max} columns")]
    TooManyColumns {
        /// The limit.
        max: usize,
    },
    /// The file is no UTF-8 text, or its header is too large.
    #[error("the file is not readable: {reason}")]
    Unreadable {
        /// The reason.
        reason: &'static str,
    },
    /// A quote was open at the end of the file. All that follows it was read as one field.
    #[error("the quote that opens in line {line} is not closed")]
    QuoteUnclosed {
        /// The line of the quote.
        line: u64,
    },
    /// More rows than the limit.
    #[error("the file has more than {max} rows")]
    TooManyRows {
        /// The limit.
        max: u64,
    },
    /// The unpacked size exceeds the limit.
    #[error("the file has more than {max_bytes} bytes when it is unpacked")]
    UnpackedTooLarge {
        /// The limit: [`Limits::unpacked_bytes`](crate::Limits::unpacked_bytes), or the one by the packed size.
        max_bytes: u64,
    },
    /// gzip or zstd that is cut or damaged, has other bytes behind its end, or needs too large a window.
    #[error("the archive is damaged: {reason}")]
    ArchiveDamaged {
        /// The reason by the decoder.
        reason: String,
    },
    /// The source failed. The same file may be readable later, from [`Reader::position`](crate::Reader::position).
    #[error("the file could not be read")]
    Read(#[source] io::Error),
}

/// The error of a record. The records after it are not affected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The record is no valid UTF-8.
    #[error("byte {byte} is not UTF-8")]
    NotUtf8 {
        /// The offset in the unpacked file of the first byte that is not valid.
        byte: u64,
    },
    /// The record of CSV has not as many fields as the header.
    #[error("{found} fields instead of {expected}")]
    ColumnCount {
        /// Number of fields of the record.
        found: usize,
        /// Number of columns of the header.
        expected: usize,
    },
    /// The record is larger than the limit.
    #[error("{bytes} bytes; accepted: up to {max_bytes}")]
    TooLarge {
        /// The size of the record in bytes.
        bytes: u64,
        /// The limit.
        max_bytes: usize,
    },
    /// The line is no JSON, no object, or an object with a key twice.
    #[error("column {column}: {reason}")]
    Json {
        /// The byte in the line at which the error was noticed; the first one is 1.
        column: usize,
        /// The reason, shortened.
        reason: String,
    },
}

/// Shortens a text from the file, so that an error does not hold a whole record.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
