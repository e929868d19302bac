//! Boxes of MP4 files (ISO/IEC 14496-12), for facts that FFmpeg does not expose: sample descriptions, encryption, and
//! the number of tracks of a file that it does not open.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Maximum number of boxes to read on one level; a fragmented file has a few per fragment.
const MAX_BOXES: u32 = 10_000;

/// Path from `trak` to the sample descriptions (§8.5.2).
const SAMPLE_DESCRIPTIONS: [&[u8; 4]; 4] = [b"mdia", b"minf", b"stbl", b"stsd"];

/// Number of sample descriptions of each track, in file order. More than one means that codec headers change.
///
/// # Errors
/// The file has no `moov` box.
pub(crate) fn sample_description_counts(file: &File) -> io::Result<Vec<u64>> {
    let mut rest = child_box(file, 0..file.metadata()?.len(), b"moov")?;
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
    let mut rest = child_box(file, 0..file.metadata()?.len(), b"moov")?;
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
    let mut rest = child_box(file, 0..file.metadata()?.len(), b"moov")?;
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

/// Finds the body of the first box with a name in a range of sibling boxes.
///
/// # Errors
/// There is none, or the file ends inside a box header.
pub(crate) fn child_box(file: &File, range: Range<u64>, name: &[u8; 4]) -> io::Result<Range<u64>> {
    let mut offset = range.start;
    for _ in 0..MAX_BOXES {
        if offset >= range.end {
            break;
        }
        let mut found = [0; 4];
        file.read_exact_at(&mut found, offset + 4)?;
        let (length, header) = match read_uint(file, offset, false)? {
            // 1: a 64-bit size follows the name. 0: the box extends to the end (§4.2).
            1 => (read_uint(file, offset + 8, true)?, 16),
            0 => (range.end.saturating_sub(offset), 8),
            length => (length, 8),
        };
        let end = offset
            .checked_add(length.max(header))
            .ok_or(io::ErrorKind::InvalidData)?;
        if found == *name {
            return Ok(offset + header..end);
        }
        offset = end;
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Reads a big-endian integer of four bytes, or of eight if `is_64_bit`.
pub(crate) fn read_uint(file: &File, offset: u64, is_64_bit: bool) -> io::Result<u64> {
    if is_64_bit {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, offset)?;
        return Ok(u64::from_be_bytes(bytes));
    }
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(u64::from(u32::from_be_bytes(bytes)))
}
