//! Parser for the header of WAV files (RIFF, RF64), to detect truncated files: FFmpeg reduces the duration to the bytes
//! that are left.

use crate::engine::demux::container::BrokenOff;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Maximum number of chunks to read before the samples.
const MAX_CHUNKS: u32 = 1_000;

/// Minimum size that writers use for an unknown size. Only `ds64` states a size above it.
const PLACEHOLDER_BYTES: u64 = 0x7fff_0000;

/// Format tags of samples of constant size: PCM, floating point, and the extensible format.
const CONSTANT_SIZE_FORMATS: [u16; 3] = [1, 3, 0xfffe];

/// Duration by the header of a truncated file; `None` if the file is not shorter than its header states.
pub(crate) fn broken_wav(file: &File) -> Option<BrokenOff> {
    let bytes = file.metadata().ok()?.len();
    let magic: [u8; 4] = read(file, 0).ok()?;
    (magic == *b"RIFF" || magic == *b"RF64").then_some(())?;
    let (mut at, mut wide_bytes, mut format, mut samples) = (12, None, None, 0);
    for _ in 0..MAX_CHUNKS {
        let name: [u8; 4] = read(file, at).ok()?;
        let size = u64::from(u32::from_le_bytes(read(file, at + 4).ok()?));
        let body = at + 8;
        match &name {
            b"ds64" => wide_bytes = Some(u64::from_le_bytes(read(file, body + 8).ok()?)),
            b"fmt " => format = Some(Format::read(file, body).ok()?),
            b"fact" => samples = u64::from(u32::from_le_bytes(read(file, body).ok()?)),
            b"data" => {
                let size = wide_bytes.filter(|_| size == u64::from(u32::MAX)).unwrap_or(size);
                let is_told = wide_bytes.is_some() || size < PLACEHOLDER_BYTES;
                let is_short = body.checked_add(size)? > bytes;
                let format = format.filter(|_| is_told && is_short)?;
                let samples = format.sample_bytes.map_or(samples, |bytes| size / bytes);
                return Some(BrokenOff {
                    length_us: samples.checked_mul(1_000_000)? / format.rate_hz,
                    open_end: false,
                    is_anywhere: false,
                });
            }
            _ => {}
        }
        at = body + size + size % 2;
    }
    None
}

/// The content of a `fmt` chunk.
struct Format {
    rate_hz: u64,
    /// Size in bytes of one sample of all channels, if it is constant. For other formats the `fact` chunk has the
    /// number of samples.
    sample_bytes: Option<u64>,
}

impl Format {
    fn read(file: &File, body: u64) -> io::Result<Self> {
        let tag = u16::from_le_bytes(read(file, body)?);
        let block = u64::from(u16::from_le_bytes(read(file, body + 12)?));
        Ok(Self {
            rate_hz: u64::from(u32::from_le_bytes(read(file, body + 4)?)).max(1),
            sample_bytes: (CONSTANT_SIZE_FORMATS.contains(&tag) && block > 0).then_some(block),
        })
    }
}

fn read<const COUNT: usize>(file: &File, at: u64) -> io::Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}
