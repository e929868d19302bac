//! Header of WAV files (RIFF, RF64), for files that are shorter than it says: FFmpeg cuts the length down to what is
//! there.

use crate::engine::demux::container::BrokenOff;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Chunks of a file looked at before its samples.
const MAX_CHUNKS: u32 = 1_000;

/// Sizes from here on are those of writers that do not know the size beforehand, unless there are so many bytes.
const PLACEHOLDER_BYTES: u64 = 0x7fff_0000;

/// Format tags of samples that all take the same number of bytes: PCM, floating point, and the extensible format.
const LINEAR: [u16; 3] = [1, 3, 0xfffe];

/// The length of a file that is shorter than its header says; `None` for any other.
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
                });
            }
            _ => {}
        }
        at = body + size + size % 2;
    }
    None
}

/// What a `fmt` chunk tells.
struct Format {
    rate_hz: u64,
    /// Bytes of the samples of one moment, when all take the same; the `fact` chunk counts the samples of other
    /// formats.
    sample_bytes: Option<u64>,
}

impl Format {
    fn read(file: &File, body: u64) -> io::Result<Self> {
        let tag = u16::from_le_bytes(read(file, body)?);
        let block = u64::from(u16::from_le_bytes(read(file, body + 12)?));
        Ok(Self {
            rate_hz: u64::from(u32::from_le_bytes(read(file, body + 4)?)).max(1),
            sample_bytes: (LINEAR.contains(&tag) && block > 0).then_some(block),
        })
    }
}

fn read<const COUNT: usize>(file: &File, at: u64) -> io::Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}
