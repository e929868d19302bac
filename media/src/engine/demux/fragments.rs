//! Repair of the chain of boxes of fragmented MP4 files (ISO/IEC 14496-12 §8.8) with missing or overwritten bytes.
//!
//! *Problem.* FFmpeg finds each fragment by the size of the box before it. Where a box is broken, it ends the file
//! there, although each following `moof` box tells its own samples and their times.
//!
//! *Mechanism.* The boxes at the top of the file are followed by their headers. Where the chain breaks, the next whole
//! `moof` box is searched, and FFmpeg is shown an `mdat` header that leads to it. Positions in the file stay the same,
//! so offsets in other boxes hold. Where bytes are missing, a `tfhd` box behind them that counts from the beginning of
//! the file (`base-data-offset-present`) is shown with the position at which its `moof` box is. A file without `moof`
//! boxes is left alone: its index does not depend on the chain.

use crate::engine::demux::mp4::{child_box, read_uint};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Boxes that are followed; a day in fragments of 0.1 s has two million.
const MAX_BOXES: u32 = 2_000_000;

/// Boxes of a `moof` or `traf` box that are followed.
const MAX_CHILDREN: u32 = 10_000;

/// Headers and offsets that are shown in place of those of the file.
const MAX_PATCHES: usize = 200_000;

/// Flag of `tfhd`: its base offset counts from the beginning of the file.
const BASE_DATA_OFFSET: u64 = 1;

/// Bytes searched at once.
const WINDOW_BYTES: usize = 256 << 10;

/// Bytes of a `moof` box up to the name of its first child.
const MOOF_HEAD: usize = 16;

/// Bytes that are shown in place of those of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    pub(crate) at: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Patch {
    pub(crate) const fn end(&self) -> u64 {
        self.at.saturating_add(self.bytes.len() as u64)
    }

    /// The header of an `mdat` box that leads from one position to another; `None` when there is no space for it.
    fn mdat(at: u64, next: u64) -> Option<Self> {
        let length = next.checked_sub(at)?;
        let bytes = match u32::try_from(length) {
            Ok(short) if short >= 8 => [&short.to_be_bytes()[..], b"mdat"].concat(),
            Ok(_) => return None,
            Err(_) => [&1_u32.to_be_bytes()[..], b"mdat", &length.to_be_bytes()].concat(),
        };
        Some(Self { at, bytes })
    }
}

/// Returns `true` when samples of a file may be in fragments, so that its index does not list them all.
pub(crate) fn is_fragmented(file: &File) -> bool {
    let moov = file
        .metadata()
        .and_then(|metadata| child_box(file, 0..metadata.len(), b"moov"));
    moov.and_then(|moov| child_box(file, moov, b"mvex")).is_ok()
}

/// The headers that lead over the breaks in the chain of boxes of a fragmented file; none for other files.
pub(crate) fn repairs(file: &File) -> Vec<Patch> {
    let Ok(length) = file.metadata().map(|metadata| metadata.len()) else {
        return Vec::new();
    };
    let mut patches = Vec::new();
    let (mut at, mut before, mut fragmented) = (0, 0, false);
    for _ in 0..MAX_BOXES {
        if at == length || patches.len() >= MAX_PATCHES {
            break;
        }
        if let Some((name, end)) = whole_box(file, at, length) {
            fragmented |= name == *b"moof" || (name == *b"moov" && child_box(file, at + 8..end, b"mvex").is_ok());
            if name == *b"moof" && !patches.is_empty() {
                rebase(file, at, end, &mut patches);
            }
            (before, at) = (at, end);
            continue;
        }
        // Where bytes are missing, the box before the break leads too far: the next fragment may be inside of it.
        let Some(next) = Some(before + 8)
            .filter(|_| fragmented)
            .and_then(|from| next_fragment(file, from, length))
        else {
            break;
        };
        patches.extend(Patch::mdat(at, next).or_else(|| Patch::mdat(before, next)));
        (before, at) = (next, next);
    }
    patches.sort_by_key(|patch| patch.at);
    patches
}

/// Shows the position of a `moof` box behind missing bytes in the `tfhd` boxes of it that have the former one.
fn rebase(file: &File, moof: u64, end: u64, patches: &mut Vec<Patch>) {
    let mut rest = moof + 8..end;
    let mut former = None;
    while let Ok(track) = child_box(file, rest.clone(), b"traf") {
        rest.start = track.end;
        let Ok(header) = child_box(file, track, b"tfhd") else {
            continue;
        };
        let flags = read_uint(file, header.start, false).unwrap_or(0);
        // Behind version, flags and the number of the track.
        let place = header.start + 8;
        let Some(base) = read_uint(file, place, true)
            .ok()
            .filter(|_| flags & BASE_DATA_OFFSET > 0)
        else {
            continue;
        };
        // Of those writers that count from the beginning of the file, most name the `moof` box.
        let is_former = base > moof && *former.get_or_insert(base) == base && base - moof > end - moof + 16;
        if is_former {
            patches.push(Patch {
                at: place,
                bytes: moof.to_be_bytes().to_vec(),
            });
        }
    }
}

/// Name and end of the box at a position of the top level, when it is whole.
fn whole_box(file: &File, at: u64, length: u64) -> Option<([u8; 4], u64)> {
    let (name, body, end) = header(file, at, length)?;
    let is_whole = name != *b"moof" || has_whole_tracks(file, body, end);
    is_whole.then_some((name, end))
}

/// Name, start of the content and end of the box at a position, when it ends at `limit` at the latest.
fn header(file: &File, at: u64, limit: u64) -> Option<([u8; 4], u64, u64)> {
    let mut name = [0; 4];
    file.read_exact_at(&mut name, at + 4).ok()?;
    let (bytes, least) = match read_uint(file, at, false).ok()? {
        1 => (read_uint(file, at + 8, true).ok()?, 16),
        0 => (limit.saturating_sub(at), 8),
        short => (short, 8),
    };
    let end = at.checked_add(bytes).filter(|end| bytes >= least && *end <= limit)?;
    let is_named = name.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    is_named.then_some((name, at + least, end))
}

/// Returns `true` when the boxes of a `moof` box fill it to the last byte, and those of each `traf` box in it as well.
fn has_whole_tracks(file: &File, start: u64, end: u64) -> bool {
    fills(file, start, end, |name, body, end| {
        name != *b"traf" || fills(file, body, end, |_, _, _| true)
    })
}

/// Returns `true` when boxes that are valid fill a range to the last byte.
fn fills(file: &File, start: u64, end: u64, is_valid: impl Fn([u8; 4], u64, u64) -> bool) -> bool {
    let mut at = start;
    for _ in 0..MAX_CHILDREN {
        if at >= end {
            break;
        }
        match header(file, at, end) {
            Some((name, body, next)) if is_valid(name, body, next) => at = next,
            _ => return false,
        }
    }
    at == end
}

/// The position of the first whole `moof` box from a position on.
fn next_fragment(file: &File, from: u64, length: u64) -> Option<u64> {
    let mut window = vec![0; WINDOW_BYTES];
    let mut at = from;
    while at < length {
        let count = read(file, &mut window, at).ok()?;
        let bytes = window.get(..count)?;
        let begins = |head: &[u8]| head.get(4..8) == Some(b"moof") && head.get(12..) == Some(b"mfhd");
        let starts = bytes.windows(MOOF_HEAD).enumerate().filter(|(_, head)| begins(head));
        let mut places = starts.map(|(offset, _)| at + offset as u64);
        if let Some(place) = places.find(|place| whole_box(file, *place, length).is_some()) {
            return Some(place);
        }
        // A box may begin at the end of the window.
        at += (count.checked_sub(MOOF_HEAD - 1).filter(|step| *step > 0)?) as u64;
    }
    None
}

fn read(file: &File, window: &mut [u8], at: u64) -> io::Result<usize> {
    let mut count = 0;
    while let Some(rest) = window.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + count as u64)? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}
