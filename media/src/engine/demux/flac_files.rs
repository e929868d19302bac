//! Raw FLAC that consists of several files, one after the other (RFC 9639 §8).
//!
//! *Problem.* FFmpeg reads frames without regard to the headers of later files. Its parser takes the bytes of such a
//! header for a part of the frames around it, and loses the last frames of the file before. The duration in the first
//! header is that of the first file only.
//!
//! *Mechanism.* The headers of later files are left out while the file is read, so that frames follow frames. The sum
//! of the lengths in all headers is the length of the whole. A header stays where the number of channels or bits
//! changes: the parser would reject more frames without it.

use crate::engine::cancel::Cancel;
use crate::engine::demux::edited_file::ByteEdits;
use crate::engine::file_bytes::{be, find, length, read};
use domain::Failure;
use std::fs::File;
use std::ops::Range;

/// Signature before the first metadata block.
const SIGNATURE: [u8; 4] = *b"fLaC";

/// Signature of a tag (`ID3v2` §3.1) that some writers put before a file.
const TAG: [u8; 3] = *b"ID3";

/// Size in bytes of signature, block header and the STREAMINFO block, which is always the first (§8.2).
const STREAMINFO_END: usize = 42;

/// Maximum number of metadata blocks and of files.
const MAX_ITEMS: usize = 10_000;

/// The header of a file: tag, signature and metadata blocks.
#[derive(Debug)]
pub(crate) struct Header {
    bytes: Range<u64>,
    /// Number of channels and of bits per sample, as they are coded.
    format: u64,
    /// Length by its STREAMINFO block in microseconds; 0 if it is not known.
    length_us: u64,
}

impl Header {
    /// Reads the header at an offset; `None` if there is none that frames follow.
    fn read(file: &File, at: u64) -> Option<Self> {
        let start = match read(file, at).ok()? {
            // The size of a tag has seven bits in each byte.
            [b'I', b'D', b'3', _, _, _, a, b, c, d] if (a | b | c | d) < 0x80 => {
                let size = [a, b, c, d].iter().fold(0, |size, byte| size << 7 | u64::from(*byte));
                at + 10 + size
            }
            _ => at,
        };
        let info: [u8; STREAMINFO_END] = read(file, start).ok()?;
        let [f, l, a, c, block_type, s1, s2, s3, fields @ ..] = info;
        let is_streaminfo = [f, l, a, c] == SIGNATURE && block_type & 0x7f == 0 && be(&[s1, s2, s3]) == 34;
        is_streaminfo.then_some(())?;
        // Sizes of blocks and frames, then 20 bits for the sample rate, 8 for the format, 36 for the samples.
        let packed = be(fields.get(10..18)?);
        let (rate_hz, samples) = (packed >> 44, packed & ((1 << 36) - 1));
        Some(Self {
            bytes: at..first_frame(file, start + 4)?,
            format: packed >> 36 & 0xff,
            length_us: (samples * 1_000_000).checked_div(rate_hz)?,
        })
    }
}

/// Follows metadata blocks. Returns the offset of the first frame.
fn first_frame(file: &File, mut block: u64) -> Option<u64> {
    for _ in 0..MAX_ITEMS {
        let [block_type, size @ ..] = read::<4>(file, block).ok()?;
        block += 4 + be(&size);
        if block_type & 0x80 != 0 {
            let is_frame = matches!(read(file, block), Ok([0xff, 0xf8 | 0xf9]));
            return is_frame.then_some(block);
        }
    }
    None
}

/// Returns `true` if a file begins with the header of raw FLAC.
pub(crate) fn has_flac_header(file: &File) -> bool {
    Header::read(file, 0).is_some()
}

/// Reads the headers of all files.
///
/// # Errors
/// [`domain::Code::Unavailable`] if the work is canceled.
pub(crate) fn read_headers(file: &File, cancel: &Cancel) -> Result<Vec<Header>, Failure> {
    let mut headers: Vec<_> = Header::read(file, 0).into_iter().collect();
    while let Some(from) = headers.last().map(|header| header.bytes.end)
        && headers.len() < MAX_ITEMS
    {
        let is_header =
            |at: u64, bytes: &[u8]| (bytes == SIGNATURE || bytes.starts_with(&TAG)) && Header::read(file, at).is_some();
        let next = find(file, from, SIGNATURE.len(), |at, bytes| {
            cancel.is_raised() || is_header(at, bytes)
        });
        cancel.check()?;
        let Some(next) = next.and_then(|at| Header::read(file, at)) else {
            break;
        };
        headers.push(next);
    }
    Ok(headers)
}

/// Edits that leave out the headers of later files.
pub(crate) fn edits(file: &File, headers: &[Header]) -> ByteEdits {
    let (mut ranges, mut start) = (Vec::new(), 0);
    for (before, header) in headers.iter().zip(headers.iter().skip(1)) {
        if before.format == header.format {
            ranges.push(start..header.bytes.start);
            start = header.bytes.end;
        }
    }
    ranges.push(start..length(file));
    ByteEdits {
        ranges,
        ..ByteEdits::default()
    }
}

/// Length in microseconds of several files by their headers; `None` for a single file, and if a header does not state
/// it.
pub(crate) fn joined_length_us(headers: &[Header]) -> Option<u64> {
    let is_stated = headers.len() > 1 && headers.iter().all(|header| header.length_us > 0);
    is_stated.then(|| {
        let lengths = headers.iter().map(|header| header.length_us);
        lengths.fold(0, u64::saturating_add)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn lengths_beyond_the_greatest_number_are_that_number() {
        // The most samples that a header can state, at 1 Hz.
        let packed = 1_u64 << 44 | ((1 << 36) - 1);
        let mut one = b"fLaC\x80\0\0\x22".to_vec();
        one.extend([0; 10]);
        one.extend(packed.to_be_bytes());
        one.extend([0; 16]);
        one.extend([0xff, 0xf8]);
        let length_us = |files: usize| {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(&one.repeat(files), 0).unwrap();
            joined_length_us(&read_headers(&file, &Cancel::new()).unwrap())
        };
        let of_one = ((1 << 36) - 1) * 1_000_000;
        assert_eq!((length_us(1), length_us(2)), (None, Some(2 * of_one)));
        assert_eq!(length_us(300), Some(u64::MAX));
    }
}
