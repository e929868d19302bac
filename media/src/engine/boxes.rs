//! Boxes of MP4 files (ISO/IEC 14496-12), for what FFmpeg does not tell of them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Boxes looked at on one level; files have a few of each kind, or as many as they have fragments.
const MAX_BOXES: u32 = 10_000;

/// How many descriptions of its samples each track has, in the order of the file: several when their headers change.
///
/// # Errors
/// The file has no index as it should be.
pub(super) fn descriptions(file: &File) -> io::Result<Vec<u64>> {
    let mut rest = child(file, 0..file.metadata()?.len(), b"moov")?;
    let mut counts = Vec::new();
    while let Ok(track) = child(file, rest.clone(), b"trak") {
        rest.start = track.end;
        let names: [&[u8; 4]; 4] = [b"mdia", b"minf", b"stbl", b"stsd"];
        let list = names.into_iter().try_fold(track, |body, name| child(file, body, name));
        counts.push(list.and_then(|list| number(file, list.start + 4, false)).unwrap_or(1));
    }
    Ok(counts)
}

/// The body of the first box with a name among those in a range.
pub(super) fn child(file: &File, range: Range<u64>, name: &[u8; 4]) -> io::Result<Range<u64>> {
    let mut at = range.start;
    for _ in 0..MAX_BOXES {
        if at >= range.end {
            break;
        }
        let mut found = [0; 4];
        file.read_exact_at(&mut found, at + 4)?;
        let (length, head) = match number(file, at, false)? {
            1 => (number(file, at + 8, true)?, 16),
            short => (short, 8),
        };
        let end = at.checked_add(length.max(head)).ok_or(io::ErrorKind::InvalidData)?;
        if found == *name {
            return Ok(at + head..end);
        }
        at = end;
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Reads a number of four bytes, or eight.
pub(super) fn number(file: &File, at: u64, wide: bool) -> io::Result<u64> {
    let mut long = [0; 8];
    if wide {
        file.read_exact_at(&mut long, at)?;
        return Ok(u64::from_be_bytes(long));
    }
    let mut short = [0; 4];
    file.read_exact_at(&mut short, at)?;
    Ok(u64::from(u32::from_be_bytes(short)))
}
