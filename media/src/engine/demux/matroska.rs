//! EBML elements of Matroska files (RFC 8794, RFC 9559), for facts that FFmpeg does not expose: encryption, the number
//! of tracks of a file that it does not open, and segments that are cut.

use crate::engine::file_bytes::{be, length, read, read_range};
use std::fs::File;
use std::io;
use std::ops::Range;

/// Maximum number of elements to read on one level. The tracks may come after all clusters.
pub(crate) const MAX_ELEMENTS: u32 = 100_000;

// Element IDs (RFC 8794 §11.2.1, RFC 9559 §5.1).
pub(crate) const EBML: u64 = 0x1a45_dfa3;
pub(crate) const SEGMENT: u64 = 0x1853_8067;
pub(crate) const TRACKS: u64 = 0x1654_ae6b;
pub(crate) const TRACK_ENTRY: u64 = 0xae;
pub(crate) const TRACK_TYPE: u64 = 0x83;
pub(crate) const TRACK_NUMBER: u64 = 0xd7;
const CODEC_DELAY: u64 = 0x56aa;
pub(crate) const CLUSTER: u64 = 0x1f43_b675;
const CLUSTER_TIMESTAMP: u64 = 0xe7;
pub(crate) const SIMPLE_BLOCK: u64 = 0xa3;
pub(crate) const BLOCK_GROUP: u64 = 0xa0;
pub(crate) const BLOCK: u64 = 0xa1;

/// Types of tracks.
pub(crate) const VIDEO: u64 = 1;
pub(crate) const AUDIO: u64 = 2;

/// Number of consecutive blocks at or after 0 after which none is before 0; more than any reorder depth.
const ENOUGH_LATER: usize = 32;

/// Maximum number of blocks of a track to read.
const MAX_EARLY: usize = 32_768;

const CONTENT_ENCODINGS: u64 = 0x6d80;
const CONTENT_ENCODING: u64 = 0x6240;
const CONTENT_ENCODING_TYPE: u64 = 0x5033;

/// An EBML element: its ID and the byte range of its data.
pub(crate) struct Element {
    pub(crate) id: u64,
    pub(crate) body: Range<u64>,
}

/// Returns `true` if a video or audio track is encrypted (`ContentEncodingType` 1).
///
/// # Errors
/// The file has no valid tracks element.
pub(crate) fn is_encrypted(file: &File) -> io::Result<bool> {
    let all = 0..length(file);
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
    let segment = find(file, 0..length(file), SEGMENT)?;
    let mut count = 0;
    for_each_element(file, find(file, segment, TRACKS)?, |track| {
        count += usize::from(track.id == TRACK_ENTRY);
        count < max
    })?;
    Ok(count)
}

/// Reads the times of the first blocks of a track up to the last one before 0, in the order of the file, and the delay
/// of its codec in nanoseconds. `kind` is the type of the track; `index` counts the tracks of this type from 0.
///
/// # Errors
/// The file has no valid tracks or clusters, or a block before 0 with several frames (lacing).
pub(crate) fn early_times(file: &File, kind: u64, index: usize) -> io::Result<(Vec<i64>, u64)> {
    let segment = find(file, 0..length(file), SEGMENT)?;
    let mut tracks = Vec::new();
    for_each_element(file, find(file, segment.clone(), TRACKS)?, |track| {
        let of = |id: u64| find(file, track.body.clone(), id).and_then(|body| read_uint(file, body));
        if track.id == TRACK_ENTRY && of(TRACK_TYPE).is_ok_and(|own| own == kind) {
            tracks.push((of(TRACK_NUMBER).unwrap_or(0), of(CODEC_DELAY).unwrap_or(0)));
        }
        true
    })?;
    let (track, delay_ns) = *tracks.get(index).ok_or(io::ErrorKind::NotFound)?;
    let mut early = EarlyBlocks::default();
    for_each_element(file, segment, |element| {
        if element.id != CLUSTER {
            return true;
        }
        let mut cluster = 0;
        let read = for_each_element(file, element.body, |child| {
            let block = match child.id {
                CLUSTER_TIMESTAMP => {
                    cluster = read_uint(file, child.body).unwrap_or(0);
                    return true;
                }
                SIMPLE_BLOCK => Ok(child.body),
                BLOCK_GROUP => find(file, child.body, BLOCK),
                _ => return true,
            };
            if let Ok(block) = block.and_then(|body| block_header(file, body.start))
                && block.track == track
            {
                early.add(&block, cluster);
            }
            early.goes_on()
        });
        // A block is at most 32,768 units before its cluster.
        read.is_ok() && early.goes_on() && cluster <= 1 << 15
    })?;
    if early.laced {
        return Err(io::ErrorKind::Unsupported.into());
    }
    early.times.truncate(early.count);
    Ok((early.times, delay_ns))
}

/// First blocks of a track.
#[derive(Default)]
struct EarlyBlocks {
    times: Vec<i64>,
    /// Number of blocks up to the last one before 0.
    count: usize,
    laced: bool,
}

impl EarlyBlocks {
    fn add(&mut self, block: &BlockHeader, cluster: u64) {
        let start = i64::try_from(cluster).unwrap_or(i64::MAX);
        let time = start.saturating_add(i64::from(block.time));
        self.times.push(time);
        if time < 0 {
            self.count = self.times.len();
            self.laced |= block.laced;
        }
    }

    fn goes_on(&self) -> bool {
        self.times.len() - self.count < ENOUGH_LATER && self.times.len() < MAX_EARLY
    }
}

/// The header of a block (RFC 9559 §10.1).
struct BlockHeader {
    track: u64,
    /// Counted from the time of the cluster.
    time: i16,
    /// `true` when there may be several frames in it.
    laced: bool,
}

fn block_header(file: &File, at: u64) -> io::Result<BlockHeader> {
    let (track, at) = read_vint(file, at, false)?;
    let [high, low, flags] = read(file, at)?;
    Ok(BlockHeader {
        track,
        time: i16::from_be_bytes([high, low]),
        laced: flags & 0x06 != 0,
    })
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

/// Returns `true` if a segment extends beyond the end of the file.
pub(crate) fn is_cut(file: &File) -> bool {
    let length = length(file);
    let is_cut = |head: Head| head.id == SEGMENT && head.size.is_some() && head.end_or(0) > length;
    ElementChain::new(file, 0, &[]).any(is_cut)
}

/// The head of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Offset of the element.
    pub(crate) at: u64,
    pub(crate) id: u64,
    /// Size of its data; `None` if it is unknown (RFC 8794 §6.2), as in live recordings.
    pub(crate) size: Option<u64>,
    /// Offset of its data.
    pub(crate) body: u64,
}

impl Head {
    /// Reads the head of an element.
    ///
    /// # Errors
    /// The file ends there, or the bytes are no head.
    pub(crate) fn read(file: &File, at: u64) -> io::Result<Self> {
        let (id, after_id) = read_vint(file, at, true)?;
        let (size, body) = read_vint(file, after_id, false)?;
        // All bits of an unknown size are set.
        let is_unknown = size == (1_u64 << (7 * (body - after_id))) - 1;
        Ok(Self {
            at,
            id,
            size: (!is_unknown).then_some(size),
            body,
        })
    }

    /// Offset after the element, with `unknown` as the size of one of unknown size.
    pub(crate) fn end_or(&self, unknown: u64) -> u64 {
        self.body.saturating_add(self.size.unwrap_or(unknown))
    }
}

/// Elements that follow each other, up to the first bytes that are no element.
pub(crate) struct ElementChain<'a> {
    file: &'a File,
    /// Offset of the next element.
    next: u64,
    /// Elements whose children are visited instead of being skipped. All elements of unknown size are entered.
    parents: &'static [u64],
    /// Maximum number of elements that are still visited.
    left: u32,
}

impl<'a> ElementChain<'a> {
    /// Begins at an offset. The children of `parents` are visited as well.
    pub(crate) const fn new(file: &'a File, from: u64, parents: &'static [u64]) -> Self {
        Self {
            file,
            next: from,
            parents,
            left: MAX_ELEMENTS,
        }
    }

    /// Visits at most this many elements.
    pub(crate) const fn up_to(self, elements: u32) -> Self {
        Self { left: elements, ..self }
    }
}

impl Iterator for ElementChain<'_> {
    type Item = Head;

    fn next(&mut self) -> Option<Head> {
        self.left = self.left.checked_sub(1)?;
        let head = Head::read(self.file, self.next).ok()?;
        self.next = if self.parents.contains(&head.id) {
            head.body
        } else {
            head.end_or(0)
        };
        Some(head)
    }
}

/// Finds the data of the first element with this ID in a range.
pub(crate) fn find(file: &File, range: Range<u64>, id: u64) -> io::Result<Range<u64>> {
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
pub(crate) fn for_each_element(
    file: &File,
    range: Range<u64>,
    mut visit: impl FnMut(Element) -> bool,
) -> io::Result<()> {
    let mut offset = range.start;
    for _ in 0..MAX_ELEMENTS {
        if offset >= range.end {
            break;
        }
        let head = Head::read(file, offset)?;
        let end = head.end_or(u64::MAX).min(range.end);
        let element = Element {
            id: head.id,
            body: head.body..end,
        };
        if !visit(element) {
            break;
        }
        offset = end;
    }
    Ok(())
}

/// Reads a variable-size integer (RFC 8794 §4). Returns the value and the offset after it. Element IDs include the
/// length marker.
pub(crate) fn read_vint(file: &File, offset: u64, keep_marker: bool) -> io::Result<(u64, u64)> {
    let [first] = read(file, offset)?;
    let length = u64::from(first.leading_zeros()) + 1;
    if length > 8 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let value = be(&read_range(file, &(offset..offset + length))?);
    let value = if keep_marker {
        value
    } else {
        value & ((1 << (7 * length)) - 1)
    };
    Ok((value, offset + length))
}

/// Reads an unsigned integer element of up to eight bytes.
pub(crate) fn read_uint(file: &File, body: Range<u64>) -> io::Result<u64> {
    if body.end.saturating_sub(body.start) > 8 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    read_range(file, &body).map(|bytes| be(&bytes))
}
