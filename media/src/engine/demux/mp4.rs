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
pub(crate) fn sample_description_counts(file: &File) -> io::Result<Vec<u64>> {
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

/// How many tracks an index has, counted to `most`.
///
/// # Errors
/// The file has no index.
pub(crate) fn count_tracks(file: &File, most: usize) -> io::Result<usize> {
    let mut rest = child(file, 0..file.metadata()?.len(), b"moov")?;
    let mut count = 0;
    while count < most {
        let Ok(track) = child(file, rest.clone(), b"trak") else {
            break;
        };
        rest.start = track.end;
        count += 1;
    }
    Ok(count)
}

/// The scheme by which a track is encrypted; `None` when none is (ISO/IEC 14496-12, 8.12, and ISO/IEC 23001-7).
///
/// # Errors
/// The file has no index as it should be.
pub(crate) fn encryption_scheme(file: &File) -> io::Result<Option<&'static str>> {
    let mut rest = child(file, 0..file.metadata()?.len(), b"moov")?;
    while let Ok(track) = child(file, rest.clone(), b"trak") {
        rest.start = track.end;
        let names: [&[u8; 4]; 4] = [b"mdia", b"minf", b"stbl", b"stsd"];
        let Ok(list) = names.into_iter().try_fold(track, |body, name| child(file, body, name)) else {
            continue;
        };
        let entries = list.start.saturating_add(8)..list.end;
        for (name, first) in [(b"encv", 78), (b"enca", 28)] {
            let Ok(entry) = child(file, entries.clone(), name) else {
                continue;
            };
            // Of sound the fields before the boxes have three lengths.
            let schemes = [0, 16, 36].into_iter().find_map(|more| {
                let inside = entry.start.saturating_add(first + more)..entry.end;
                let scheme = child(file, child(file, inside, b"sinf").ok()?, b"schm").ok()?;
                number(file, scheme.start + 4, false).ok()
            });
            return Ok(Some(scheme_name(schemes)));
        }
        if [b"drms", b"drmi"]
            .iter()
            .any(|name| child(file, entries.clone(), name).is_ok())
        {
            return Ok(Some("FairPlay"));
        }
    }
    Ok(None)
}

fn scheme_name(number: Option<u64>) -> &'static str {
    match number
        .and_then(|number| u32::try_from(number).ok())
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

/// The body of the first box with a name among those in a range.
pub(crate) fn child(file: &File, range: Range<u64>, name: &[u8; 4]) -> io::Result<Range<u64>> {
    let mut at = range.start;
    for _ in 0..MAX_BOXES {
        if at >= range.end {
            break;
        }
        let mut found = [0; 4];
        file.read_exact_at(&mut found, at + 4)?;
        let (length, head) = match number(file, at, false)? {
            1 => (number(file, at + 8, true)?, 16),
            // To the end.
            0 => (range.end.saturating_sub(at), 8),
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
pub(crate) fn number(file: &File, at: u64, wide: bool) -> io::Result<u64> {
    let mut long = [0; 8];
    if wide {
        file.read_exact_at(&mut long, at)?;
        return Ok(u64::from_be_bytes(long));
    }
    let mut short = [0; 4];
    file.read_exact_at(&mut short, at)?;
    Ok(u64::from(u32::from_be_bytes(short)))
}
