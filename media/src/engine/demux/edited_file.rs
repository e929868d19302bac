//! A file as FFmpeg reads it: parts of it may be left out or in another order, and bytes may be replaced.
//!
//! It has a position of its own and uses `pread`, because duplicated descriptors share the file offset, which other
//! readers of the source must not see moving.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Bytes that FFmpeg reads in place of those of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    /// Offset in the file.
    pub(crate) at: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Patch {
    pub(crate) const fn end(&self) -> u64 {
        self.at.saturating_add(self.bytes.len() as u64)
    }
}

/// Changes to a file while it is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByteEdits {
    /// Bytes that are read before those of the file.
    pub(crate) prefix: Vec<u8>,
    /// Ranges of the file that are read, in this order; empty for the whole file.
    pub(crate) ranges: Vec<Range<u64>>,
    /// Bytes that are read in place of those of the file, in the order of the file.
    pub(crate) patches: Vec<Patch>,
}

/// A reader of a file with edits.
pub(crate) struct EditedFile {
    file: File,
    edits: ByteEdits,
    /// Position of each range, followed by the total length.
    starts: Vec<u64>,
    /// Position of the next read.
    position: u64,
}

impl EditedFile {
    /// Creates a reader at the first byte.
    ///
    /// # Errors
    /// The descriptor cannot be duplicated.
    pub(crate) fn new(file: &File, mut edits: ByteEdits) -> io::Result<Self> {
        let file = file.try_clone()?;
        if edits.ranges.is_empty() {
            edits.ranges.push(0..file.metadata()?.len());
        }
        let mut end = edits.prefix.len() as u64;
        let mut starts = vec![end];
        for range in &edits.ranges {
            end += range.end.saturating_sub(range.start);
            starts.push(end);
        }
        Ok(Self {
            file,
            edits,
            starts,
            position: 0,
        })
    }

    /// Offset in the file of the byte at the position, and the number of bytes from there to the end of its range.
    fn file_offset(&self) -> Option<(u64, u64)> {
        let after = self.starts.partition_point(|start| *start <= self.position);
        let index = after.checked_sub(1)?;
        let (range, start) = self.edits.ranges.get(index).zip(self.starts.get(index))?;
        let offset = range.start + (self.position - start);
        Some((offset, range.end - offset))
    }

    /// Overwrites bytes of the file, read from `file_offset`, with the patches for them.
    fn patch(&self, bytes: &mut [u8], file_offset: u64) {
        let patches = &self.edits.patches;
        let end = file_offset.saturating_add(bytes.len() as u64);
        let first = patches.partition_point(|patch| patch.end() <= file_offset);
        for patch in patches.iter().skip(first).take_while(|patch| patch.at < end) {
            for (offset, byte) in (patch.at..).zip(&patch.bytes) {
                let index = offset
                    .checked_sub(file_offset)
                    .and_then(|index| usize::try_from(index).ok());
                if let Some(target) = index.and_then(|index| bytes.get_mut(index)) {
                    *target = *byte;
                }
            }
        }
    }
}

impl Read for EditedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let position = usize::try_from(self.position).ok();
        let prefix = position.and_then(|position| self.edits.prefix.get(position..));
        let count = if let Some(mut prefix) = prefix.filter(|prefix| !prefix.is_empty()) {
            prefix.read(buffer)?
        } else if let Some((offset, left)) = self.file_offset() {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let target = buffer.get_mut(..most).unwrap_or_default();
            let count = self.file.read_at(target, offset)?;
            self.patch(target.get_mut(..count).unwrap_or_default(), offset);
            count
        } else {
            0
        };
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for EditedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.starts.last().and_then(|end| end.checked_add_signed(offset)),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_in_their_order_with_replaced_bytes() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"0123456789", 0).unwrap();
        let edits = ByteEdits {
            prefix: b"ab".to_vec(),
            ranges: vec![0..2, 6..9, 3..5],
            patches: vec![Patch {
                at: 4,
                bytes: b"XYZ".to_vec(),
            }],
        };
        let mut edited = EditedFile::new(&file, edits).unwrap();
        let mut all = String::new();
        edited.read_to_string(&mut all).unwrap();
        assert_eq!(all, "ab01Z783X");
        assert_eq!(edited.seek(SeekFrom::End(-3)).unwrap(), 6);
        all.clear();
        edited.read_to_string(&mut all).unwrap();
        assert_eq!(all, "83X");
        let mut whole = EditedFile::new(&file, ByteEdits::default()).unwrap();
        all.clear();
        whole.read_to_string(&mut all).unwrap();
        assert_eq!(all, "0123456789");
    }
}
