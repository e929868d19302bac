//! The records of CSV.
//!
//! *Problem.* A line break inside of quotes does not end a record, so the end of a record is known only to the parser,
//! and may be gigabytes away.
//!
//! *Mechanism.* `csv-core` parses block by block and keeps its state in between. It copies the fields without their
//! quotes to `fields`, and their ends to `ends`. When the record is over the limit, both are overwritten from then on.
//! At the end of the file the parser is given one more line break. It ends the last record, unless a quote is open.
//!
//! *Invariants.* `fields` has room for the record and one block. `ends` has one entry more than the header has columns:
//! of a record with more fields, only their number is kept.

use crate::error::{Error, RecordError, shortened};
use crate::fields::{Cells, Columns, cell};
use crate::layout::Delimiter;
use crate::limits::{COLUMNS, HEADER_BYTES};
use crate::text::{Extent, Size, Text};
use csv_core::{ReadRecordResult, ReaderBuilder};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The parser of the records of a file.
pub(crate) struct CsvRecords {
    parser: csv_core::Reader,
    fields: Vec<u8>,
    /// Number of bytes in `fields`.
    written: usize,
    ends: Vec<usize>,
    /// Number of entries in `ends`.
    ended: usize,
    /// Number of fields whose ends were dropped.
    ends_dropped: usize,
    /// Number of bytes of fields of the record, also of those that were dropped.
    output: usize,
    /// The line in which the current field begins.
    field_line: u64,
}

impl CsvRecords {
    /// A parser that begins between two records.
    pub(crate) fn new(delimiter: Delimiter, columns: usize) -> Self {
        let mut parser = ReaderBuilder::new().delimiter(delimiter.byte()).build();
        // At its first call the parser would remove a byte order mark, which is content inside of a file.
        let _ = parser.read_record(&[], &mut [], &mut []);
        Self {
            parser,
            fields: Vec::new(),
            written: 0,
            ends: vec![0; columns + 1],
            ended: 0,
            ends_dropped: 0,
            output: 0,
            field_line: 1,
        }
    }

    /// Reads the header: the names of the columns.
    pub(crate) fn header(text: &mut Text, delimiter: Delimiter, max_bytes: usize) -> Result<Vec<String>, Error> {
        let mut records = Self::new(delimiter, COLUMNS);
        let extent = records.find(text, max_bytes.min(HEADER_BYTES))?.ok_or(Error::Empty)?;
        let unreadable = |reason| Error::Unreadable { reason };
        let Size::Held(bytes) = extent.size else {
            return Err(unreadable("the header is too large"));
        };
        let raw = text.ahead().get(..bytes).unwrap_or_default();
        if raw.contains(&0) {
            return Err(unreadable("the header contains NUL characters"));
        }
        let header = std::str::from_utf8(raw).and_then(|_| std::str::from_utf8(records.written()));
        let header = header.map_err(|_| unreadable("the header is not UTF-8"))?;
        if records.found() > COLUMNS {
            return Err(Error::TooManyColumns { max: COLUMNS });
        }
        let columns: Vec<String> = (0..records.found())
            .map(|index| cell(header, &records.ends, index).to_owned())
            .collect();
        let mut seen = BTreeSet::new();
        for (index, name) in columns.iter().enumerate() {
            if name.trim().is_empty() {
                return Err(Error::ColumnUnnamed { number: index + 1 });
            }
            if !seen.insert(name) {
                let name = shortened(name);
                return Err(Error::ColumnRepeated { name });
            }
        }
        text.advance(extent.rest);
        Ok(columns)
    }

    /// Finds and parses the next record. `None` at the end of the file.
    pub(crate) fn find(&mut self, text: &mut Text, max_bytes: usize) -> Result<Option<Extent>, Error> {
        if !text.skip_line_breaks()? {
            return Ok(None);
        }
        let (byte, line) = (text.byte(), text.line());
        self.begin(line);
        let (mut scanned, mut dropped) = (0, 0);
        let bytes = loop {
            let unread = text.ahead().get(scanned..).unwrap_or_default();
            let (is_complete, read) = self.parse(unread);
            scanned += read;
            if is_complete {
                break scanned - 1;
            }
            if scanned > max_bytes {
                dropped += scanned as u64;
                text.advance(scanned);
                scanned = 0;
            }
            if dropped > 0 {
                self.drop_fields();
            }
            if scanned == text.ahead().len() && !text.more()? {
                let (is_complete, _) = self.parse(b"\n");
                if !is_complete {
                    let line = self.field_line;
                    return Err(Error::QuoteUnclosed { line });
                }
                break scanned;
            }
        };
        let size = if dropped > 0 || bytes > max_bytes {
            Size::TooLarge(dropped + bytes as u64)
        } else {
            Size::Held(bytes)
        };
        let rest = scanned + usize::from(text.ahead().get(bytes..bytes + 2) == Some(b"\r\n"));
        Ok(Some(Extent { byte, line, size, rest }))
    }

    /// The cells of the record that was found last.
    pub(crate) fn row(&self, columns: &Arc<Columns>) -> Result<Cells, RecordError> {
        let (found, expected) = (self.found(), columns.len());
        if found != expected {
            return Err(RecordError::ColumnCount { found, expected });
        }
        // The record is valid UTF-8, and only ASCII characters were removed from it.
        let text = std::str::from_utf8(self.written()).unwrap_or_default().to_owned();
        let ends = self.ends.get(..self.ended).unwrap_or_default().to_vec();
        Ok(Cells::new(Arc::clone(columns), text, ends))
    }

    fn begin(&mut self, line: u64) {
        self.parser.set_line(line);
        self.field_line = line;
        self.output = 0;
        self.ends_dropped = 0;
        self.ended = 0;
        self.written = 0;
    }

    fn drop_fields(&mut self) {
        self.ends_dropped += self.ended;
        self.ended = 0;
        self.written = 0;
    }

    /// Parses bytes until the record is complete, the bytes are used, or `ends` is full. Returns true if the record is
    /// complete, and the number of bytes that were used.
    fn parse(&mut self, bytes: &[u8]) -> (bool, usize) {
        if self.ended == self.ends.len() {
            // More fields than columns: the record is refused, so only their number is needed.
            self.ends_dropped += self.ended;
            self.ended = 0;
        }
        if self.fields.len() < self.written + bytes.len() {
            self.fields.resize(self.written + bytes.len(), 0);
        }
        let line = self.parser.line();
        let (fields, ends) = (
            self.fields.get_mut(self.written..).unwrap_or_default(),
            self.ends.get_mut(self.ended..).unwrap_or_default(),
        );
        let (result, read, written, ended) = self.parser.read_record(bytes, fields, ends);
        if matches!(result, ReadRecordResult::Record) {
            self.written += written;
            self.ended += ended;
            return (true, read);
        }
        if let Some(end) = ended.checked_sub(1).and_then(|last| ends.get(last)) {
            // Ends count from the first byte of the record.
            let completed = fields.get(..end.saturating_sub(self.output)).unwrap_or_default();
            self.field_line = line + memchr::memchr_iter(b'\n', completed).count() as u64;
        }
        self.output += written;
        self.written += written;
        self.ended += ended;
        (false, read)
    }

    #[cfg(test)]
    pub(crate) fn fields_bytes(&self) -> usize {
        self.fields.len()
    }

    fn written(&self) -> &[u8] {
        self.fields.get(..self.written).unwrap_or_default()
    }

    /// Number of fields of the record.
    fn found(&self) -> usize {
        self.ends_dropped + self.ended
    }
}
