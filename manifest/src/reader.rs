//! The reader of a manifest: records, and the position from which reading can be continued.

use crate::csv_records::CsvRecords;
use crate::error::{Error, RecordError};
use crate::fields::{Columns, Fields};
use crate::input::Input;
use crate::json;
use crate::json_lines;
use crate::layout::{Format, Layout, MAGIC_BYTES, Packing};
use crate::limits::Limits;
use crate::recognize::{Recognized, recognize};
use crate::text::{Extent, Size, Text};
use crate::unpacked::Unpacked;
use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use std::sync::Arc;

/// The position between two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The offset in the unpacked file at which the next record begins. Blank lines may lie before it.
    pub byte: u64,
    /// The line of this byte; the first one is 1. Lines end with LF.
    pub line: u64,
    /// Number of rows before it.
    pub row: u64,
}

/// A record of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The number of the row; the first one is 1. The header is no row, bad records and repeated ones are.
    pub row: u64,
    /// The line in which it begins; the first one, which is the header of CSV, is 1.
    pub line: u64,
    /// The offset of its first byte in the unpacked file.
    pub byte: u64,
    /// The values.
    pub content: Result<Fields, RecordError>,
}

/// The reader of a manifest.
pub struct Reader {
    text: Text,
    layout: Layout,
    /// `None` for JSONL.
    csv: Option<Csv>,
    position: Position,
    limits: Limits,
    has_failed: bool,
}

struct Csv {
    records: CsvRecords,
    columns: Arc<Columns>,
}

impl Reader {
    /// Recognizes the layout of a file and reads its header. `packed_bytes` is the size of the file as it is stored.
    ///
    /// # Errors
    /// Any [`Error`] but [`Error::TooManyRows`].
    pub fn open(source: impl Read + Send + 'static, packed_bytes: u64, limits: Limits) -> Result<Self, Error> {
        let mut input = Input::new(source);
        let packing = match input.first(MAGIC_BYTES) {
            Ok(magic) => Packing::of(magic),
            Err(error) => return Err(Error::Read(input.take_failure().unwrap_or(error))),
        };
        let unpacked = Unpacked::new(input, packing, packed_bytes, &limits);
        let mut text = Text::new(unpacked, 0, 1);
        let format = match recognize(&mut text)? {
            Recognized::Jsonl => Format::Jsonl,
            Recognized::Csv(delimiter) => {
                let columns = CsvRecords::header(&mut text, delimiter, limits.record_bytes)?;
                Format::Csv { delimiter, columns }
            }
        };
        Ok(Self::new(text, Layout { packing, format }, 0, limits))
    }

    /// Continues at a position. The source of a plain file begins at [`Position::byte`], that of a packed one at its
    /// first byte: it is unpacked again. The file must be the one from which layout and position were taken.
    ///
    /// # Errors
    /// [`Error::Read`]; of a packed file, [`Error::ArchiveDamaged`] and [`Error::UnpackedTooLarge`].
    pub fn resume(
        source: impl Read + Send + 'static,
        packed_bytes: u64,
        layout: Layout,
        position: Position,
        limits: Limits,
    ) -> Result<Self, Error> {
        let mut unpacked = Unpacked::new(Input::new(source), layout.packing, packed_bytes, &limits);
        unpacked.skip_to(position.byte)?;
        let text = Text::new(unpacked, position.byte, position.line);
        Ok(Self::new(text, layout, position.row, limits))
    }

    fn new(text: Text, layout: Layout, row: u64, limits: Limits) -> Self {
        let csv = match &layout.format {
            Format::Csv { delimiter, columns } => Some(Csv {
                records: CsvRecords::new(*delimiter, columns.len()),
                columns: Arc::new(Columns::new(columns)),
            }),
            Format::Jsonl => None,
        };
        Self {
            position: position(&text, row),
            text,
            layout,
            csv,
            limits,
            has_failed: false,
        }
    }

    /// The layout of the file.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The position of the next record. After an error, the position behind the last record that was returned.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Reads the next record; `None` at the end of the file. A reader that has failed is of no more use; after
    /// [`Error::Read`], [`Self::resume`] continues.
    ///
    /// # Errors
    /// Any [`Error`] but those of a header.
    #[allow(
        clippy::should_implement_trait,
        reason = "an error ends the file, so this is no `Iterator`"
    )]
    pub fn next(&mut self) -> Result<Option<Record>, Error> {
        if self.has_failed {
            return Err(Error::Read(io::Error::other("the reader has failed before")));
        }
        let record = self.read();
        self.has_failed = record.is_err();
        record
    }

    fn read(&mut self) -> Result<Option<Record>, Error> {
        let extent = match &mut self.csv {
            Some(csv) => csv.records.find(&mut self.text, self.limits.record_bytes)?,
            None => json_lines::find(&mut self.text, self.limits.record_bytes)?,
        };
        let Some(extent) = extent else {
            return if self.position.row == 0 {
                Err(Error::Empty)
            } else {
                Ok(None)
            };
        };
        if self.position.row >= self.limits.rows {
            let max = self.limits.rows;
            return Err(Error::TooManyRows { max });
        }
        let row = self.position.row + 1;
        let content = self.content(&extent);
        self.text.advance(extent.rest);
        self.position = position(&self.text, row);
        Ok(Some(Record {
            row,
            line: extent.line,
            byte: extent.byte,
            content,
        }))
    }

    fn content(&self, extent: &Extent) -> Result<Fields, RecordError> {
        let bytes = match extent.size {
            Size::Held(bytes) => self.text.ahead().get(..bytes).unwrap_or_default(),
            Size::TooLarge(bytes) => {
                let max_bytes = self.limits.record_bytes;
                return Err(RecordError::TooLarge { bytes, max_bytes });
            }
        };
        let line = std::str::from_utf8(bytes).map_err(|error| RecordError::NotUtf8 {
            byte: extent.byte + error.valid_up_to() as u64,
        })?;
        match &self.csv {
            Some(csv) => csv.records.row(&csv.columns).map(Fields::Cells),
            None => json::object(line).map(Fields::Object),
        }
    }
}

fn position(text: &Text, row: u64) -> Position {
    Position {
        byte: text.byte(),
        line: text.line(),
        row,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// A field in quotes with an end that is far away, and rows around it.
    fn endless(bytes: u64) -> impl Read + Send + 'static {
        let begin = Cursor::new(b"a,b\n1,2\n3,\"");
        begin
            .chain(io::repeat(b'\n').take(bytes))
            .chain(Cursor::new(b"\"\n5,6\n"))
    }

    #[test]
    fn a_record_of_any_size_needs_no_more_memory_than_its_limit() {
        let limits = Limits::default();
        let bytes = 20 << 20;
        let mut reader = Reader::open(endless(bytes), 0, limits).unwrap();
        let mut records = Vec::new();
        while let Some(record) = reader.next().unwrap() {
            records.push(record);
        }
        let too_large = RecordError::TooLarge {
            bytes: bytes + 4,
            max_bytes: limits.record_bytes,
        };
        assert_eq!(records.len(), 3);
        assert_eq!(records[1].content, Err(too_large));
        assert_eq!((records[2].row, records[2].line), (3, bytes + 4));
        assert!(reader.text.buffer_bytes() <= 2 * limits.record_bytes);
        assert!(reader.csv.unwrap().records.fields_bytes() <= 2 * limits.record_bytes);
    }

    #[test]
    fn a_line_of_any_size_needs_no_more_memory_than_its_limit() {
        let begin = Cursor::new(b"{}\n{\"a\":\"");
        let source = begin
            .chain(io::repeat(b'x').take(20 << 20))
            .chain(Cursor::new(b"\"}\n{}"));
        let limits = Limits::default();
        let mut reader = Reader::open(source, 0, limits).unwrap();
        let mut is_read = Vec::new();
        while let Some(record) = reader.next().unwrap() {
            is_read.push(record.content.is_ok());
        }
        assert_eq!(is_read, [true, false, true]);
        assert!(reader.text.buffer_bytes() <= 2 * limits.record_bytes);
    }
}
