//! Chunks of WAV files and of their variants RF64, BW64 and RIFX, to detect truncated files and bytes that FFmpeg does
//! not read.
//!
//! FFmpeg reads the samples of a WAV up to the end that the header states, or to the end of the file if that is nearer,
//! and then those of further `data` chunks. Other chunks after the samples, such as tags and markers, are no loss.

use crate::engine::demux::broken_off::BrokenOff;
use crate::engine::file_bytes::{be, find, le, length, read};
use std::fs::File;
use std::io;

/// Maximum number of chunks to read.
const MAX_CHUNKS: u32 = 1_000;

/// Minimum size that writers use for an unknown size. Only `ds64` states a size above it.
const PLACEHOLDER_BYTES: u64 = 0x7fff_0000;

/// Format tags of samples of constant size: PCM, floating point, and the extensible format.
const CONSTANT_SIZE_FORMATS: [u64; 3] = [1, 3, 0xfffe];

/// Maximum number of bytes after the samples that are ignored although they are no chunks: padding and tags of other
/// formats.
const IGNORED_BYTES: u64 = 4 << 10;

/// Names of files inside of a file.
const FILE_NAMES: [&[u8; 4]; 4] = [b"RIFF", b"RF64", b"BW64", b"RIFX"];

/// A chunk: its name and the size of its data, which begins eight bytes after it.
struct Chunk {
    name: [u8; 4],
    size: u64,
}

/// The byte order of a file.
#[derive(Clone, Copy)]
struct ByteOrder {
    is_big_endian: bool,
}

impl ByteOrder {
    fn uint<const COUNT: usize>(self, file: &File, at: u64) -> io::Result<u64> {
        let bytes = read::<COUNT>(file, at)?;
        Ok(if self.is_big_endian { be(&bytes) } else { le(&bytes) })
    }

    fn chunk(self, file: &File, at: u64) -> io::Result<Chunk> {
        Ok(Chunk {
            name: read(file, at)?,
            size: self.uint::<4>(file, at + 4)?,
        })
    }
}

/// The header of a WAV.
struct Wav {
    order: ByteOrder,
    format: Format,
    /// Number of samples by the `fact` chunk, for formats without a constant size of samples.
    samples: u64,
    /// Start of the data of the first `data` chunk.
    data: u64,
    /// Size of its data; `None` if the writer did not know it.
    data_bytes: Option<u64>,
}

impl Wav {
    fn read(file: &File) -> Option<Self> {
        let magic: [u8; 4] = read(file, 0).ok()?;
        FILE_NAMES.contains(&&magic).then_some(())?;
        let order = ByteOrder {
            is_big_endian: magic == *b"RIFX",
        };
        let (mut at, mut wide_bytes, mut format, mut samples) = (12, None, None, 0);
        for _ in 0..MAX_CHUNKS {
            let Chunk { name, size } = order.chunk(file, at).ok()?;
            let body = at + 8;
            match &name {
                b"ds64" => wide_bytes = Some(order.uint::<8>(file, body + 8).ok()?),
                b"fmt " => format = Some(Format::read(file, body, order).ok()?),
                b"fact" => samples = order.uint::<4>(file, body).ok()?,
                b"data" => {
                    let size = wide_bytes.filter(|_| size == u64::from(u32::MAX)).unwrap_or(size);
                    let is_told = wide_bytes.is_some() || (1..PLACEHOLDER_BYTES).contains(&size);
                    return Some(Self {
                        order,
                        format: format?,
                        samples,
                        data: body,
                        data_bytes: is_told.then_some(size),
                    });
                }
                _ => {}
            }
            at = body + size + size % 2;
        }
        None
    }

    /// Duration of this number of bytes of samples in microseconds.
    fn duration_us(&self, bytes: u64) -> Option<u64> {
        let samples = self.format.sample_bytes.map_or(self.samples, |size| bytes / size);
        Some(samples.checked_mul(1_000_000)? / self.format.rate_hz)
    }
}

/// The content of a `fmt` chunk.
struct Format {
    rate_hz: u64,
    /// Size in bytes of one sample of all channels, if it is constant. For other formats the `fact` chunk has the
    /// number of samples.
    sample_bytes: Option<u64>,
}

impl Format {
    fn read(file: &File, body: u64, order: ByteOrder) -> io::Result<Self> {
        let tag = order.uint::<2>(file, body)?;
        let block = order.uint::<2>(file, body + 12)?;
        Ok(Self {
            rate_hz: order.uint::<4>(file, body + 4)?.max(1),
            sample_bytes: (CONSTANT_SIZE_FORMATS.contains(&tag) && block > 0).then_some(block),
        })
    }
}

/// Duration by the header of a truncated WAV; `None` if the file is not shorter than its header states.
pub(crate) fn broken_wav(file: &File) -> Option<BrokenOff> {
    let wav = Wav::read(file)?;
    let size = wav.data_bytes?;
    (wav.data.checked_add(size)? > length(file)).then_some(BrokenOff {
        length_us: wav.duration_us(size)?,
        unknown_loss: None,
    })
}

/// Number of bytes after the samples of a WAV that are neither chunks nor zeros; `None` if there are not more than
/// usual.
pub(crate) fn unread_in_wav(file: &File) -> Option<u64> {
    let wav = Wav::read(file)?;
    let (end, size) = (length(file), wav.data_bytes?);
    let after = wav.data.checked_add(size)?;
    // Some writers leave out the byte after samples of an odd size.
    let starts = [after.saturating_add(size % 2), after];
    let unread_from = starts.map(|at| after_chunks(file, at, wav.order)).into_iter().max()?;
    let has_content = find(file, unread_from, 1, |_, bytes| bytes != [0]).is_some();
    let count = end.saturating_sub(unread_from);
    (count > IGNORED_BYTES && has_content).then_some(count)
}

/// Follows chunks from an offset. Returns the offset after the last one that the file has as a whole.
fn after_chunks(file: &File, from: u64, order: ByteOrder) -> u64 {
    let end = length(file);
    let mut at = from;
    for _ in 0..MAX_CHUNKS {
        let Ok(Chunk { name, size }) = order.chunk(file, at) else {
            break;
        };
        let is_name = name.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        let next = at + 8 + size;
        if !is_name || FILE_NAMES.contains(&&name) || next > end {
            break;
        }
        at = next + size % 2;
    }
    at.min(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn samples_up_to_the_greatest_offset_are_neither_read_nor_behind_the_end() {
        let data_at = 80;
        let mut bytes = b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0".to_vec();
        bytes.extend([0; 8]);
        bytes.extend((u64::MAX - data_at).to_le_bytes());
        bytes.extend([0; 12]);
        bytes.extend(b"fmt \x10\0\0\0\x01\0\x01\0\x80\xbb\0\0\0\x77\x01\0\x02\0\x10\0");
        bytes.extend(b"data\xff\xff\xff\xff");
        assert_eq!(bytes.len() as u64, data_at);
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        let wav = Wav::read(&file).unwrap();
        assert_eq!((wav.data, wav.data_bytes), (data_at, Some(u64::MAX - data_at)));
        assert_eq!(unread_in_wav(&file), None);
        assert_eq!(broken_wav(&file), None, "a duration that no file has");
    }
}
