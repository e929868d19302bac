//! Byte ranges of several files, read as one file. Verification demuxes the segments of a rendition with it, as a
//! player does. Only one file is open at a time: a rendition may have thousands of segments.

use crate::engine::demux::mp4::BoxHeader;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// A byte range of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ByteRange {
    pub(crate) path: PathBuf,
    /// Offset of the first byte in the file.
    pub(crate) from: u64,
    /// Length in bytes.
    pub(crate) bytes: u64,
}

/// A reader of concatenated byte ranges.
pub(crate) struct ByteRangeReader {
    ranges: Arc<[ByteRange]>,
    /// Offset of each range in the concatenation, followed by the total length.
    offsets: Vec<u64>,
    /// Position of the next read in the concatenation.
    position: u64,
    /// The open file and the index of its range.
    open: Option<(usize, File)>,
}

impl ByteRangeReader {
    /// Creates a reader at the start of the first range.
    pub(crate) fn new(ranges: Arc<[ByteRange]>) -> Self {
        let mut end = 0;
        let ends = ranges.iter().map(|range| {
            end += range.bytes;
            end
        });
        Self {
            offsets: std::iter::once(0).chain(ends).collect(),
            ranges,
            position: 0,
            open: None,
        }
    }

    /// Total length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// Number of ranges.
    pub(crate) fn range_count(&self) -> usize {
        self.ranges.len()
    }

    /// Index of the range that contains the byte at a position.
    pub(crate) fn range_at(&self, position: u64) -> usize {
        self.offsets
            .partition_point(|offset| *offset <= position)
            .saturating_sub(1)
    }

    fn file(&mut self, index: usize, range: &ByteRange) -> io::Result<&File> {
        let file = match self.open.take() {
            Some((open_index, file)) if open_index == index => file,
            _ => File::open(&range.path)?,
        };
        Ok(&self.open.insert((index, file)).1)
    }
}

impl Read for ByteRangeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ranges = Arc::clone(&self.ranges);
        let index = self.range_at(self.position);
        let Some((range, offset)) = ranges.get(index).zip(self.offsets.get(index).copied()) else {
            return Ok(0);
        };
        let within = self.position - offset;
        let left = usize::try_from(range.bytes - within).unwrap_or(usize::MAX);
        let max = buffer.len().min(left);
        let file = self.file(index, range)?;
        let count = file.read_at(buffer.get_mut(..max).unwrap_or_default(), range.from + within)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for ByteRangeReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.len().checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// Names of the top-level boxes of a byte range (ISO/IEC 14496-12 §4.2).
///
/// # Errors
/// The boxes do not fill the range exactly, or the file is shorter than it.
pub(crate) fn top_level_boxes(range: &ByteRange) -> io::Result<Vec<[u8; 4]>> {
    let file = File::open(&range.path)?;
    let (mut at, end) = (range.from, range.from + range.bytes);
    let mut names = Vec::new();
    while at < end {
        let header = BoxHeader::read(&file, at, end)?;
        at = header.body.end;
        names.push(header.name);
    }
    if at == end && file.metadata()?.len() >= end {
        Ok(names)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
