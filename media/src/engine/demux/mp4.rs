//! Boxes of MP4 files (ISO/IEC 14496-12), for facts that FFmpeg does not expose: sample descriptions, encryption, and
//! the number of tracks of a file that it does not open.

use crate::engine::file_bytes::{be, length, read_be, read_up_to};
use std::fs::File;
use std::io;
use std::ops::Range;

/// Maximum number of boxes to read on one level; a fragmented file has a few per fragment.
const MAX_BOXES: u32 = 10_000;

/// Path from `trak` to the sample descriptions (§8.5.2).
const SAMPLE_DESCRIPTIONS: [&[u8; 4]; 4] = [b"mdia", b"minf", b"stbl", b"stsd"];

/// Number of sample descriptions of each track, in file order. More than one means that codec headers change.
///
/// # Errors
/// The file has no `moov` box.
pub(crate) fn sample_description_counts(file: &File) -> io::Result<Vec<u64>> {
    let mut rest = child_box(file, 0..length(file), b"moov")?;
    let mut counts = Vec::new();
    while let Ok(track) = child_box(file, rest.clone(), b"trak") {
        rest.start = track.end;
        let list = sample_descriptions(file, track);
        counts.push(
            list.and_then(|list| read_uint(file, list.start + 4, false))
                .unwrap_or(1),
        );
    }
    Ok(counts)
}

/// Counts the tracks of a file, up to `max`.
///
/// # Errors
/// The file has no `moov` box.
pub(crate) fn count_tracks(file: &File, max: usize) -> io::Result<usize> {
    let mut rest = child_box(file, 0..length(file), b"moov")?;
    let mut count = 0;
    while count < max {
        let Ok(track) = child_box(file, rest.clone(), b"trak") else {
            break;
        };
        rest.start = track.end;
        count += 1;
    }
    Ok(count)
}

/// Encryption scheme of the first encrypted track; `None` if no track is encrypted (ISO/IEC 14496-12 §8.12, ISO/IEC
/// 23001-7).
///
/// # Errors
/// The file has no `moov` box.
pub(crate) fn encryption_scheme(file: &File) -> io::Result<Option<&'static str>> {
    let mut rest = child_box(file, 0..length(file), b"moov")?;
    while let Ok(track) = child_box(file, rest.clone(), b"trak") {
        rest.start = track.end;
        let Ok(list) = sample_descriptions(file, track) else {
            continue;
        };
        let entries = list.start.saturating_add(8)..list.end;
        // Size of the fields of a video or audio sample entry before its boxes.
        for (name, fields) in [(b"encv", 78), (b"enca", 28)] {
            let Ok(entry) = child_box(file, entries.clone(), name) else {
                continue;
            };
            // Audio sample entries of QuickTime versions 1 and 2 have 16 and 36 bytes more.
            let scheme = [0, 16, 36].into_iter().find_map(|more| {
                let boxes = entry.start.saturating_add(fields + more)..entry.end;
                let scheme = child_box(file, child_box(file, boxes, b"sinf").ok()?, b"schm").ok()?;
                read_uint(file, scheme.start + 4, false).ok()
            });
            return Ok(Some(scheme_name(scheme)));
        }
        // FairPlay has sample entries of its own.
        if [b"drms", b"drmi"]
            .iter()
            .any(|name| child_box(file, entries.clone(), name).is_ok())
        {
            return Ok(Some("FairPlay"));
        }
    }
    Ok(None)
}

/// The body of the `stsd` box of a track.
fn sample_descriptions(file: &File, track: Range<u64>) -> io::Result<Range<u64>> {
    SAMPLE_DESCRIPTIONS
        .into_iter()
        .try_fold(track, |body, name| child_box(file, body, name))
}

/// Describes a `scheme_type` (ISO/IEC 23001-7 §4.2) for the detail of a failure.
fn scheme_name(scheme_type: Option<u64>) -> &'static str {
    match scheme_type
        .and_then(|scheme_type| u32::try_from(scheme_type).ok())
        .map(u32::to_be_bytes)
        .as_ref()
    {
        Some(b"cenc") => "common encryption, cenc",
        Some(b"cbcs") => "common encryption, cbcs",
        Some(b"cbc1") => "common encryption, cbc1",
        Some(b"cens") => "common encryption, cens",
        _ => "an encrypted track",
    }
}

/// The header of a box (§4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BoxHeader {
    pub(crate) name: [u8; 4],
    /// The bytes after the header. A box may state that it extends beyond the file.
    pub(crate) body: Range<u64>,
}

impl BoxHeader {
    /// Reads the header at an offset. A box without a size extends to `limit`.
    ///
    /// # Errors
    /// The file ends inside of the header, or the box is smaller than its header.
    pub(crate) fn read(file: &File, at: u64, limit: u64) -> io::Result<Self> {
        let mut bytes = [0; 16];
        let count = read_up_to(file, &mut bytes, at)?;
        let [a, b, c, d, name @ .., _, _, _, _, _, _, _, _] = bytes;
        let (size, header) = match be(&[a, b, c, d]) {
            // A 64-bit size follows the name.
            1 => (be(&bytes[8..]), 16),
            0 => (limit.saturating_sub(at), 8),
            size => (size, 8),
        };
        let end = at
            .checked_add(size)
            .filter(|_| size >= header && count as u64 >= header);
        Ok(Self {
            name,
            body: at + header..end.ok_or(io::ErrorKind::InvalidData)?,
        })
    }
}

/// Finds the body of the first box with a name in a range of sibling boxes.
///
/// # Errors
/// There is none, or a box before it is invalid.
pub(crate) fn child_box(file: &File, range: Range<u64>, name: &[u8; 4]) -> io::Result<Range<u64>> {
    let mut at = range.start;
    for _ in 0..MAX_BOXES {
        if at >= range.end {
            break;
        }
        let header = BoxHeader::read(file, at, range.end)?;
        if header.name == *name {
            return Ok(header.body);
        }
        at = header.body.end;
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Reads a big-endian integer of four bytes, or of eight if `is_64_bit`.
pub(crate) fn read_uint(file: &File, offset: u64, is_64_bit: bool) -> io::Result<u64> {
    if is_64_bit {
        read_be::<8>(file, offset)
    } else {
        read_be::<4>(file, offset)
    }
}
