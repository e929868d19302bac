//! Positioned reads of files: integers of both byte orders, a buffer for many small reads, and a search.
//!
//! All reads have an offset of their own (`pread`), because readers of a source share its file offset.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Size in bytes of a read buffer, and of the window of a search.
const BUFFER_BYTES: usize = 64 << 10;

/// Length of a file in bytes; 0 if it is not known.
pub(crate) fn length(file: &File) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

/// Reads bytes at an offset.
///
/// # Errors
/// The file ends before, or cannot be read.
pub(crate) fn read<const COUNT: usize>(file: &File, at: u64) -> io::Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

/// Reads a big-endian integer of up to eight bytes at an offset.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_be<const COUNT: usize>(file: &File, at: u64) -> io::Result<u64> {
    read::<COUNT>(file, at).map(|bytes| be(&bytes))
}

/// Reads a little-endian integer of up to eight bytes at an offset.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_le<const COUNT: usize>(file: &File, at: u64) -> io::Result<u64> {
    read::<COUNT>(file, at).map(|bytes| le(&bytes))
}

/// Reads a range of a file.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_range(file: &File, range: &Range<u64>) -> io::Result<Vec<u8>> {
    let count = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; count];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes)
}

/// Reads as many bytes at an offset as the file has and the buffer takes. Returns their number.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn read_up_to(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut count = 0;
    while let Some(rest) = buffer.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at.saturating_add(count as u64))? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

/// Value of a big-endian integer of up to eight bytes.
pub(crate) fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Value of a little-endian integer of up to eight bytes.
pub(crate) fn le(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Returns `true` if two ranges of a file have the same bytes.
pub(crate) fn are_equal(file: &File, one: &Range<u64>, other: &Range<u64>) -> bool {
    let length = one.end.saturating_sub(one.start);
    let (mut ours, mut theirs) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    let mut done = 0;
    while done < length {
        let count = usize::try_from(length - done).unwrap_or(usize::MAX).min(BUFFER_BYTES);
        let (ours, theirs) = (ours.get_mut(..count), theirs.get_mut(..count));
        let Some((ours, theirs)) = ours.zip(theirs) else {
            return false;
        };
        let reads = [
            file.read_exact_at(ours, one.start + done),
            file.read_exact_at(theirs, other.start + done),
        ];
        if reads.iter().any(Result::is_err) || ours != theirs {
            return false;
        }
        done += count as u64;
    }
    length == other.end.saturating_sub(other.start)
}

/// Finds the first offset from `from` on whose next `size` bytes are accepted by `is_found`, which gets them and their
/// offset.
pub(crate) fn find(file: &File, from: u64, size: usize, is_found: impl Fn(u64, &[u8]) -> bool) -> Option<u64> {
    let mut window = vec![0; BUFFER_BYTES];
    let mut at = from;
    loop {
        let count = read_up_to(file, &mut window, at).ok()?;
        let mut starts = (at..).zip(window.get(..count)?.windows(size));
        if let Some((offset, _)) = starts.find(|(offset, bytes)| is_found(*offset, bytes)) {
            return Some(offset);
        }
        // The bytes may begin at the end of the window.
        at += count.checked_sub(size - 1).filter(|step| *step > 0)? as u64;
    }
}

/// A read buffer over a file, for many small reads close to each other.
pub(crate) struct BufferedFile<'a> {
    file: &'a File,
    /// Offset of the buffered bytes.
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> BufferedFile<'a> {
    /// Creates an empty buffer.
    pub(crate) const fn new(file: &'a File) -> Self {
        Self {
            file,
            start: 0,
            bytes: Vec::new(),
        }
    }

    /// Returns `count` bytes at an offset. `count` is at most [`BUFFER_BYTES`].
    ///
    /// # Errors
    /// As [`read`].
    pub(crate) fn get(&mut self, at: u64, count: usize) -> io::Result<&[u8]> {
        if self.buffered(at, count).is_none() {
            self.bytes.resize(BUFFER_BYTES, 0);
            let read = read_up_to(self.file, &mut self.bytes, at)?;
            self.bytes.truncate(read);
            self.start = at;
        }
        self.buffered(at, count)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn buffered(&self, at: u64, count: usize) -> Option<&[u8]> {
        let from = usize::try_from(at.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..from.checked_add(count)?)
    }

    /// As [`read`].
    ///
    /// # Errors
    /// As [`read`].
    pub(crate) fn read<const COUNT: usize>(&mut self, at: u64) -> io::Result<[u8; COUNT]> {
        let bytes = self.get(at, COUNT)?;
        bytes
            .first_chunk()
            .copied()
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file
    }

    #[test]
    fn integers_are_read_in_both_byte_orders() {
        let file = file(&[0x12, 0x34, 0x56, 0x78, 0, 0, 0, 1]);
        assert_eq!(read_be::<3>(&file, 0).unwrap(), 0x0012_3456);
        assert_eq!(read_le::<2>(&file, 2).unwrap(), 0x7856);
        assert_eq!(read_be::<8>(&file, 0).unwrap(), 0x1234_5678_0000_0001);
        assert!(read_be::<4>(&file, 5).is_err());
    }

    #[test]
    fn bytes_across_the_end_of_a_window_are_found_and_buffered() {
        let at = BUFFER_BYTES - 2;
        let mut bytes = vec![0; 2 * BUFFER_BYTES];
        bytes[at..at + 4].copy_from_slice(b"mark");
        let file = file(&bytes);
        let find = |from: u64| super::find(&file, from, 4, |_, bytes| bytes == b"mark");
        assert_eq!((find(0), find(at as u64)), (Some(at as u64), Some(at as u64)));
        assert_eq!(find(at as u64 + 1), None);
        let mut buffered = BufferedFile::new(&file);
        assert_eq!(buffered.read(0).unwrap(), [0; 4]);
        assert_eq!(buffered.read(at as u64).unwrap(), *b"mark");
        assert_eq!(buffered.read(at as u64 - 1).unwrap(), *b"\0mar");
        assert!(buffered.get(bytes.len() as u64 - 3, 4).is_err());
    }

    #[test]
    fn ranges_are_equal_if_all_their_bytes_are() {
        let mut bytes = vec![7; 3 * BUFFER_BYTES];
        bytes[2 * BUFFER_BYTES] = 8;
        let file = file(&bytes);
        let half = BUFFER_BYTES as u64;
        assert!(are_equal(&file, &(0..half), &(half..2 * half)));
        assert!(!are_equal(&file, &(0..half), &(half + 1..2 * half + 1)));
        assert!(!are_equal(&file, &(0..half), &(half..2 * half - 1)));
    }
}
