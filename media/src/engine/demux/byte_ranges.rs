//! Byte ranges of several files, read as one. Only one of the files is open at a time.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// A byte range of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ByteRange {
    pub(crate) path: PathBuf,
    pub(crate) from: u64,
    pub(crate) bytes: u64,
}

/// The pieces in a row.
pub(crate) struct ByteRangeReader {
    pieces: Arc<[ByteRange]>,
    /// Where each piece begins, and the end of the last one.
    borders: Vec<u64>,
    at: u64,
    open: Option<(usize, File)>,
}

impl ByteRangeReader {
    pub(crate) fn new(pieces: Arc<[ByteRange]>) -> Self {
        let mut end = 0;
        let ends = pieces.iter().map(|piece| {
            end += piece.bytes;
            end
        });
        Self {
            borders: std::iter::once(0).chain(ends).collect(),
            pieces,
            at: 0,
            open: None,
        }
    }

    /// The bytes of all pieces.
    pub(crate) fn len(&self) -> u64 {
        self.borders.last().copied().unwrap_or(0)
    }

    /// How many pieces.
    pub(crate) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// The place of the piece that has the byte at a position.
    pub(crate) fn piece_at(&self, position: u64) -> usize {
        self.borders
            .partition_point(|border| *border <= position)
            .saturating_sub(1)
    }

    fn file(&mut self, place: usize, piece: &ByteRange) -> io::Result<&File> {
        let open = match self.open.take() {
            Some((open, file)) if open == place => file,
            _ => File::open(&piece.path)?,
        };
        Ok(&self.open.insert((place, open)).1)
    }
}

impl Read for ByteRangeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pieces = Arc::clone(&self.pieces);
        let place = self.piece_at(self.at);
        let Some((piece, begun)) = pieces.get(place).zip(self.borders.get(place).copied()) else {
            return Ok(0);
        };
        let within = self.at - begun;
        let left = usize::try_from(piece.bytes - within).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let file = self.file(place, piece)?;
        let count = file.read_at(buffer.get_mut(..most).unwrap_or_default(), piece.from + within)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for ByteRangeReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len().checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// The names of the boxes at the top of a piece (ISO/IEC 14496-12), which must fill it to the last byte.
pub(crate) fn top_level_boxes(piece: &ByteRange) -> io::Result<Vec<[u8; 4]>> {
    let file = File::open(&piece.path)?;
    let (mut at, end) = (piece.from, piece.from + piece.bytes);
    let mut names = Vec::new();
    while at < end {
        let mut head = [0; 8];
        file.read_exact_at(&mut head, at)?;
        let [a, b, c, d, name @ ..] = head;
        at += u64::from(u32::from_be_bytes([a, b, c, d]).max(8));
        names.push(name);
    }
    if at == end && file.metadata()?.len() >= end {
        Ok(names)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
