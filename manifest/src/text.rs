//! A part of the unpacked file in memory: the current record, and at most a block more.

use crate::error::Error;
use crate::unpacked::Unpacked;

/// Size of the buffer at the beginning. A larger record doubles it.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;

/// The unpacked file from the current byte on.
pub(crate) struct Text {
    source: Unpacked,
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    byte: u64,
    line: u64,
}

/// A record that was found in a [`Text`].
pub(crate) struct Extent {
    /// The offset of its first byte.
    pub(crate) byte: u64,
    /// The line of its first byte.
    pub(crate) line: u64,
    pub(crate) size: Size,
    /// Number of bytes of the text until behind its line break.
    pub(crate) rest: usize,
}

/// The size of a record in bytes, without its line break.
pub(crate) enum Size {
    /// The text begins with the record.
    Held(usize),
    /// The record exceeded the limit. Its begin was dropped.
    TooLarge(u64),
}

impl Text {
    /// The text from a byte of a file on, which is the next one that the source returns.
    pub(crate) fn new(source: Unpacked, byte: u64, line: u64) -> Self {
        Self {
            source,
            buffer: vec![0; BLOCK_BYTES],
            begin: 0,
            end: 0,
            byte,
            line,
        }
    }

    /// The offset of the current byte.
    pub(crate) fn byte(&self) -> u64 {
        self.byte
    }

    /// The line of the current byte; the first one is 1. Lines end with LF.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The bytes in memory, from the current one on.
    pub(crate) fn ahead(&self) -> &[u8] {
        self.buffer.get(self.begin..self.end).unwrap_or_default()
    }

    /// Reads more bytes behind those in memory. Returns false at the end of the file.
    pub(crate) fn more(&mut self) -> Result<bool, Error> {
        if self.end == self.buffer.len() {
            if self.begin == 0 {
                self.buffer.resize(self.buffer.len() * 2, 0);
            } else {
                self.buffer.copy_within(self.begin..self.end, 0);
                self.end -= self.begin;
                self.begin = 0;
            }
        }
        let read = self.source.read(self.buffer.get_mut(self.end..).unwrap_or_default())?;
        self.end += read;
        Ok(read > 0)
    }

    /// Reads until a number of bytes is in memory, or the file ends.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), Error> {
        while self.ahead().len() < bytes && self.more()? {}
        Ok(())
    }

    /// Reads until twice as many bytes are in memory. Returns false at the end of the file.
    pub(crate) fn hold_twice(&mut self) -> Result<bool, Error> {
        let held = self.ahead().len();
        self.hold(held * 2)?;
        Ok(self.ahead().len() > held)
    }

    /// Makes a later byte the current one.
    pub(crate) fn advance(&mut self, bytes: usize) {
        let passed = self.ahead().get(..bytes).unwrap_or_default();
        let (lines, bytes) = (memchr::memchr_iter(b'\n', passed).count(), passed.len());
        self.line += lines as u64;
        self.byte += bytes as u64;
        self.begin += bytes;
    }

    /// Goes behind line breaks. Returns false if the file ends with them.
    pub(crate) fn skip_line_breaks(&mut self) -> Result<bool, Error> {
        loop {
            let other = self.ahead().iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
            self.advance(other.unwrap_or(self.ahead().len()));
            if other.is_some() {
                return Ok(true);
            }
            if !self.more()? {
                return Ok(false);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn buffer_bytes(&self) -> usize {
        self.buffer.len()
    }
}
