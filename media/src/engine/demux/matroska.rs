//! EBML elements of Matroska files (RFC 8794, RFC 9559), for facts that FFmpeg does not expose: encryption and the
//! number of tracks of a file that it does not open.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Maximum number of elements to read on one level. The tracks may come after all clusters.
const MAX_ELEMENTS: u32 = 100_000;

// Element IDs (RFC 9559 §5.1).
const SEGMENT: u64 = 0x1853_8067;
const TRACKS: u64 = 0x1654_ae6b;
const TRACK_ENTRY: u64 = 0xae;
const TRACK_TYPE: u64 = 0x83;
const CONTENT_ENCODINGS: u64 = 0x6d80;
const CONTENT_ENCODING: u64 = 0x6240;
const CONTENT_ENCODING_TYPE: u64 = 0x5033;

/// An EBML element: its ID and the byte range of its data.
struct Element {
    id: u64,
    body: Range<u64>,
}

/// Returns `true` if a video or audio track is encrypted (`ContentEncodingType` 1).
///
/// # Errors
/// The file has no valid tracks element.
pub(crate) fn is_encrypted(file: &File) -> io::Result<bool> {
    let all = 0..file.metadata()?.len();
    let segment = find(file, all, SEGMENT)?;
    let tracks = find(file, segment, TRACKS)?;
    let mut found = false;
    for_each_element(file, tracks, |track| {
        found |= track.id == TRACK_ENTRY && is_media(file, &track.body) && has_encryption(file, &track.body);
        true
    })?;
    Ok(found)
}

/// Counts the tracks of a file, up to `max`.
///
/// # Errors
/// The file has no valid tracks element.
pub(crate) fn count_tracks(file: &File, max: usize) -> io::Result<usize> {
    let segment = find(file, 0..file.metadata()?.len(), SEGMENT)?;
    let mut count = 0;
    for_each_element(file, find(file, segment, TRACKS)?, |track| {
        count += usize::from(track.id == TRACK_ENTRY);
        count < max
    })?;
    Ok(count)
}

/// Returns `true` for video (1) and audio (2) tracks.
fn is_media(file: &File, track: &Range<u64>) -> bool {
    let track_type = find(file, track.clone(), TRACK_TYPE).and_then(|body| read_uint(file, body));
    matches!(track_type, Ok(1 | 2))
}

/// Returns `true` if a content encoding of a track is encryption (type 1) rather than compression (type 0).
fn has_encryption(file: &File, track: &Range<u64>) -> bool {
    let Ok(encodings) = find(file, track.clone(), CONTENT_ENCODINGS) else {
        return false;
    };
    let mut found = false;
    let result = for_each_element(file, encodings, |encoding| {
        let encoding_type = find(file, encoding.body, CONTENT_ENCODING_TYPE).and_then(|body| read_uint(file, body));
        found |= encoding.id == CONTENT_ENCODING && matches!(encoding_type, Ok(1));
        true
    });
    result.is_ok() && found
}

/// Finds the data of the first element with this ID in a range.
fn find(file: &File, range: Range<u64>, id: u64) -> io::Result<Range<u64>> {
    let mut found = None;
    for_each_element(file, range, |element| {
        if element.id == id {
            found = Some(element.body);
        }
        found.is_none()
    })?;
    found.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Calls `visit` for each element of a range, until it returns `false`.
fn for_each_element(file: &File, range: Range<u64>, mut visit: impl FnMut(Element) -> bool) -> io::Result<()> {
    let mut offset = range.start;
    for _ in 0..MAX_ELEMENTS {
        if offset >= range.end {
            break;
        }
        let (id, after_id) = read_vint(file, offset, true)?;
        let (length, start) = read_vint(file, after_id, false)?;
        // All data bits set means "unknown size" (RFC 8794 §6.2), as in live recordings.
        let is_unknown = length == (1_u64 << (7 * (start - after_id))) - 1;
        let end = if is_unknown {
            range.end
        } else {
            start.saturating_add(length).min(range.end)
        };
        if !visit(Element { id, body: start..end }) {
            break;
        }
        offset = end;
    }
    Ok(())
}

/// Reads a variable-size integer (RFC 8794 §4). Returns the value and the offset after it. Element IDs include the
/// length marker.
fn read_vint(file: &File, offset: u64, keep_marker: bool) -> io::Result<(u64, u64)> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes[..1], offset)?;
    let [first, ..] = bytes;
    let length = first.leading_zeros() as usize + 1;
    let rest = bytes.get_mut(1..length).ok_or(io::ErrorKind::InvalidData)?;
    file.read_exact_at(rest, offset + 1)?;
    let value = bytes
        .iter()
        .take(length)
        .fold(0, |value, byte| value << 8 | u64::from(*byte));
    let value = if keep_marker {
        value
    } else {
        value & ((1 << (7 * length)) - 1)
    };
    Ok((value, offset + length as u64))
}

/// Reads an unsigned integer element of up to eight bytes.
fn read_uint(file: &File, body: Range<u64>) -> io::Result<u64> {
    let length = usize::try_from(body.end - body.start).unwrap_or(usize::MAX);
    let mut bytes = [0; 8];
    let bytes = bytes.get_mut(..length).ok_or(io::ErrorKind::InvalidData)?;
    file.read_exact_at(bytes, body.start)?;
    Ok(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
