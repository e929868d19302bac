//! Packed files and sources for the tests.

use flate2::Compression;
use flate2::write::GzEncoder;
use manifest::{Error, Limits, Reader, Record};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::{self, Read, Write};

pub(super) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(text: &[u8]) -> Vec<u8> {
    compress_to_vec(text, CompressionLevel::Fastest)
}

pub(super) fn open(file: impl Into<Vec<u8>>, limits: Limits) -> Result<Reader, Error> {
    let file = file.into();
    let bytes = file.len();
    Reader::open(Chunks::new(file, 1 << 20), bytes as u64, limits)
}

pub(super) fn rows(mut reader: Reader) -> Vec<Record> {
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

pub(super) fn count(mut reader: Reader) -> usize {
    std::iter::from_fn(|| reader.next().unwrap()).count()
}

/// A source that returns a few bytes at a time, and is interrupted in between.
pub(super) struct Chunks {
    bytes: io::Cursor<Vec<u8>>,
    chunk: usize,
    is_interrupted: bool,
}

impl Chunks {
    pub(super) fn new(bytes: impl Into<Vec<u8>>, chunk: usize) -> Self {
        Self {
            bytes: io::Cursor::new(bytes.into()),
            chunk,
            is_interrupted: false,
        }
    }
}

impl Read for Chunks {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.is_interrupted = !self.is_interrupted;
        if self.is_interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let bytes = target.len().min(self.chunk);
        self.bytes.read(&mut target[..bytes])
    }
}

/// A source that fails after some bytes.
pub(super) struct FailingAfter {
    bytes: io::Take<io::Cursor<Vec<u8>>>,
}

impl FailingAfter {
    pub(super) fn new(bytes: Vec<u8>, after: usize) -> Self {
        Self {
            bytes: io::Cursor::new(bytes).take(after as u64),
        }
    }
}

impl Read for FailingAfter {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        match self.bytes.read(target)? {
            0 => Err(io::Error::other("unplugged")),
            bytes => Ok(bytes),
        }
    }
}
