//! Elements of Matroska files (RFC 8794, RFC 9559), for what FFmpeg does not tell of them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Elements looked at on one level: the tracks may stand behind all clusters.
const MAX_ELEMENTS: u32 = 100_000;
const SEGMENT: u64 = 0x1853_8067;
const TRACKS: u64 = 0x1654_ae6b;
const TRACK_ENTRY: u64 = 0xae;
const TRACK_TYPE: u64 = 0x83;
const CONTENT_ENCODINGS: u64 = 0x6d80;
const CONTENT_ENCODING: u64 = 0x6240;
const CONTENT_ENCODING_TYPE: u64 = 0x5033;

/// An element: its identifier and the place of its body.
struct Element {
    id: u64,
    body: Range<u64>,
}

/// Whether a track of pictures or sound is encrypted (`ContentEncodingType` 1).
///
/// # Errors
/// The file has no tracks as it should.
pub(crate) fn is_encrypted(file: &File) -> io::Result<bool> {
    let all = 0..file.metadata()?.len();
    let segment = find(file, all, SEGMENT)?;
    let tracks = find(file, segment, TRACKS)?;
    let mut found = false;
    each(file, tracks, |track| {
        found |= track.id == TRACK_ENTRY && is_media(file, &track.body) && has_encryption(file, &track.body);
        true
    })?;
    Ok(found)
}

/// How many tracks a file has, counted to `most`.
///
/// # Errors
/// The file has no tracks as it should.
pub(crate) fn count_tracks(file: &File, most: usize) -> io::Result<usize> {
    let segment = find(file, 0..file.metadata()?.len(), SEGMENT)?;
    let mut count = 0;
    each(file, find(file, segment, TRACKS)?, |track| {
        count += usize::from(track.id == TRACK_ENTRY);
        count < most
    })?;
    Ok(count)
}

fn is_media(file: &File, track: &Range<u64>) -> bool {
    let kind = find(file, track.clone(), TRACK_TYPE).and_then(|body| number(file, body));
    matches!(kind, Ok(1 | 2))
}

fn has_encryption(file: &File, track: &Range<u64>) -> bool {
    let Ok(encodings) = find(file, track.clone(), CONTENT_ENCODINGS) else {
        return false;
    };
    let mut found = false;
    let looked = each(file, encodings, |encoding| {
        let kind = find(file, encoding.body, CONTENT_ENCODING_TYPE).and_then(|body| number(file, body));
        found |= encoding.id == CONTENT_ENCODING && matches!(kind, Ok(1));
        true
    });
    looked.is_ok() && found
}

/// The body of the first element with an identifier.
fn find(file: &File, range: Range<u64>, id: u64) -> io::Result<Range<u64>> {
    let mut found = None;
    each(file, range, |element| {
        if element.id == id {
            found = Some(element.body);
        }
        found.is_none()
    })?;
    found.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Gives every element of a range until `goes_on` is false.
fn each(file: &File, range: Range<u64>, mut goes_on: impl FnMut(Element) -> bool) -> io::Result<()> {
    let mut at = range.start;
    for _ in 0..MAX_ELEMENTS {
        if at >= range.end {
            break;
        }
        let (id, after_id) = vint(file, at, true)?;
        let (length, start) = vint(file, after_id, false)?;
        let unknown = length == (1_u64 << (7 * (start - after_id))) - 1;
        let end = if unknown {
            range.end
        } else {
            start.saturating_add(length).min(range.end)
        };
        if !goes_on(Element { id, body: start..end }) {
            break;
        }
        at = end;
    }
    Ok(())
}

/// Reads a number of variable length; an identifier keeps the mark of its length.
pub(crate) fn vint(file: &File, at: u64, keep_mark: bool) -> io::Result<(u64, u64)> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes[..1], at)?;
    let [first, ..] = bytes;
    let length = first.leading_zeros() as usize + 1;
    let rest = bytes.get_mut(1..length).ok_or(io::ErrorKind::InvalidData)?;
    file.read_exact_at(rest, at + 1)?;
    let value = bytes
        .iter()
        .take(length)
        .fold(0, |value, byte| value << 8 | u64::from(*byte));
    let value = if keep_mark {
        value
    } else {
        value & ((1 << (7 * length)) - 1)
    };
    Ok((value, at + length as u64))
}

fn number(file: &File, body: Range<u64>) -> io::Result<u64> {
    let length = usize::try_from(body.end - body.start).unwrap_or(usize::MAX);
    let mut bytes = [0; 8];
    let bytes = bytes.get_mut(..length).ok_or(io::ErrorKind::InvalidData)?;
    file.read_exact_at(bytes, body.start)?;
    Ok(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
