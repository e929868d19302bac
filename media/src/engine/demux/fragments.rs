//! Repair of the chain of boxes of fragmented MP4 files (ISO/IEC 14496-12 §8.8) with missing or overwritten bytes.
//!
//! *Problem.* FFmpeg finds each fragment by the size of the box before it. Where a box is broken, it ends the file
//! there, although each following `moof` box states its own samples and their times.
//!
//! *Mechanism.* The chain of top-level boxes is followed by their sizes. Where it breaks, the next complete `moof` box
//! is searched, and FFmpeg reads an `mdat` header in place of the broken bytes, which extends to that box. File offsets
//! do not change, so offsets in other boxes stay valid. If bytes are missing, absolute offsets in `tfhd` boxes after
//! them (`base-data-offset-present`) are corrected. Files without `moof` boxes are not changed: their index does not
//! depend on the chain.
//!
//! *Losses.* A fragment is missing where the chain breaks, where the sequence number steps by more than elsewhere in
//! the file (`mfhd`, §8.8.5), and at the end if a box extends beyond it or `mfra` lists more fragments than there are.
//!
//! *Rejected.* A repaired copy of the file: it would double the space and the time of reading.

use crate::engine::demux::mp4::{child_box, read_uint};
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Maximum number of boxes to follow; a day in fragments of 0.1 s has two million.
const MAX_BOXES: u32 = 2_000_000;

/// Maximum number of boxes to follow in a `moof` or `traf` box.
const MAX_CHILDREN: u32 = 10_000;

/// Maximum number of patches.
const MAX_PATCHES: usize = 200_000;

/// Flag `base-data-offset-present` of `tfhd`: the offset counts from the start of the file.
const BASE_DATA_OFFSET: u64 = 1;

/// Size of the search window in bytes.
const WINDOW_BYTES: usize = 256 << 10;

/// Size in bytes of the start of a `moof` box up to the name of its first child.
const MOOF_HEAD: usize = 16;

/// Bytes that FFmpeg reads in place of those of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    pub(crate) at: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Patch {
    pub(crate) const fn end(&self) -> u64 {
        self.at.saturating_add(self.bytes.len() as u64)
    }

    /// The header of an `mdat` box that extends from one offset to another; `None` when there is no space for it.
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

/// The chain of boxes of the top level.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    /// Patches that repair the chain of a fragmented file, in the order of the file; none for other files.
    pub(crate) patches: Vec<Patch>,
    /// Offsets of fragments before which bytes are missing, in the order of the file.
    pub(crate) breaks: Vec<u64>,
    /// `true` if bytes are missing at the end of a fragmented file.
    pub(crate) is_cut: bool,
    /// `true` if the file lists more fragments than it has.
    pub(crate) lacks_fragments: bool,
}

/// Follows the boxes of the top level.
pub(crate) fn chain(file: &File) -> Chain {
    let mut chain = Chain::default();
    let Ok(length) = file.metadata().map(|metadata| metadata.len()) else {
        return chain;
    };
    let (mut at, mut before, mut fragmented) = (0, 0, false);
    let mut sequence = Sequence::default();
    for _ in 0..MAX_BOXES {
        if at == length || chain.patches.len() >= MAX_PATCHES {
            break;
        }
        if let Some((name, body)) = whole_box(file, at, length) {
            let end = body.end;
            fragmented |= name == *b"moof" || (name == *b"moov" && child_box(file, body.clone(), b"mvex").is_ok());
            // The samples of a fragment follow it.
            chain.is_cut = name == *b"moof" && end == length;
            match &name {
                b"moof" => {
                    sequence.add(at, fragment_number(file, body.clone()));
                    if !chain.patches.is_empty() {
                        rebase(file, at, body, &mut chain.patches);
                    }
                }
                b"mfra" => chain.lacks_fragments |= listed_fragments(file, body) > sequence.fragments,
                _ => {}
            }
            (before, at) = (at, end);
            continue;
        }
        // If bytes are missing, the box before the break seems to extend over the start of the next fragment.
        let Some(next) = Some(before + 8)
            .filter(|_| fragmented)
            .and_then(|from| next_fragment(file, from, length))
        else {
            // Without fragments the index has all samples, and some writers give `mdat` a size that is too large.
            chain.is_cut = fragmented && extends_beyond(file, at, length);
            // FFmpeg refuses a file that ends inside of a `moof` box.
            chain.patches.extend(Patch::mdat(at, length).filter(|_| chain.is_cut));
            break;
        };
        chain
            .patches
            .extend(Patch::mdat(at, next).or_else(|| Patch::mdat(before, next)));
        chain.breaks.push(next);
        (before, at) = (next, next);
    }
    chain.patches.sort_by_key(|patch| patch.at);
    chain.breaks.extend(sequence.breaks());
    chain.breaks.sort_unstable();
    chain
}

/// Sequence numbers of fragments.
#[derive(Debug, Default)]
struct Sequence {
    /// Number of fragments.
    fragments: usize,
    /// Number of the latest fragment.
    latest: Option<u64>,
    /// Smallest step between the numbers of two fragments. It is 1 for most writers.
    least_step: Option<u64>,
    /// Fragments whose number is more than 1 above that of the fragment before: offset and step.
    steps: Vec<(u64, u64)>,
}

impl Sequence {
    fn add(&mut self, at: u64, number: Option<u64>) {
        self.fragments += 1;
        let step = number.zip(self.latest).and_then(|(new, old)| new.checked_sub(old));
        if let Some(step) = step.filter(|step| *step > 0) {
            self.least_step = Some(self.least_step.map_or(step, |least| least.min(step)));
            if step > 1 {
                self.steps.push((at, step));
            }
        }
        self.latest = number;
    }

    /// Offsets of fragments whose number steps by more than the smallest step.
    fn breaks(&self) -> impl Iterator<Item = u64> {
        let least = self.least_step.unwrap_or(0);
        let is_wide = move |(at, step): &(u64, u64)| (*step > least).then_some(*at);
        self.steps.iter().filter_map(is_wide)
    }
}

/// The sequence number of a fragment, in the `mfhd` box of its `moof` box.
fn fragment_number(file: &File, moof: Range<u64>) -> Option<u64> {
    let header = child_box(file, moof, b"mfhd").ok()?;
    read_uint(file, header.start + 4, false).ok()
}

/// Number of fragments that an `mfra` box lists (§8.8.9). Their offsets may be wrong in a file that was edited later.
fn listed_fragments(file: &File, mfra: Range<u64>) -> usize {
    let mut rest = mfra;
    let mut offsets = HashSet::new();
    while let Ok(list) = child_box(file, rest.clone(), b"tfra") {
        rest.start = list.end;
        let field = |at: u64| read_uint(file, list.start + at, false).unwrap_or(0);
        let is_wide = field(0) >> 24 == 1;
        let (widths, entries) = (field(8), field(12));
        let time_bytes = if is_wide { 8 } else { 4 };
        // The numbers of track fragment, run and sample have one to four bytes each.
        let numbers_bytes = 3 + (widths >> 4 & 3) + (widths >> 2 & 3) + (widths & 3);
        let entry_bytes = 2 * time_bytes + numbers_bytes;
        for entry in 0..entries.min(u64::from(MAX_BOXES)) {
            let at = list.start + 16 + entry * entry_bytes + time_bytes;
            match read_uint(file, at, is_wide) {
                Ok(offset) if at + time_bytes <= list.end => offsets.insert(offset),
                _ => break,
            };
        }
    }
    offsets.len()
}

/// Returns `true` if the box at an offset has media and extends beyond the end of the file.
fn extends_beyond(file: &File, at: u64, length: u64) -> bool {
    let is_media = header(file, at, u64::MAX).is_some_and(|(name, ..)| name == *b"mdat" || name == *b"moof");
    is_media && header(file, at, length).is_none()
}

/// Corrects the base offsets in the `tfhd` boxes of a `moof` box that missing bytes have moved.
fn rebase(file: &File, moof: u64, body: Range<u64>, patches: &mut Vec<Patch>) {
    let end = body.end;
    let mut rest = body;
    let mut moved_base = None;
    while let Ok(track) = child_box(file, rest.clone(), b"traf") {
        rest.start = track.end;
        let Ok(header) = child_box(file, track, b"tfhd") else {
            continue;
        };
        let flags = read_uint(file, header.start, false).unwrap_or(0);
        // After version, flags and track ID.
        let offset_field = header.start + 8;
        let Some(base) = read_uint(file, offset_field, true)
            .ok()
            .filter(|_| flags & BASE_DATA_OFFSET > 0)
        else {
            continue;
        };
        // Most writers that set this flag use the offset of the `moof` box. An offset behind this box is that of the
        // box before bytes were lost.
        let is_moved = base > moof && *moved_base.get_or_insert(base) == base && base - moof > end - moof + 16;
        if is_moved {
            patches.push(Patch {
                at: offset_field,
                bytes: moof.to_be_bytes().to_vec(),
            });
        }
    }
}

/// Name and body of the box at an offset of the top level; `None` unless it is complete.
fn whole_box(file: &File, at: u64, length: u64) -> Option<([u8; 4], Range<u64>)> {
    let (name, body, end) = header(file, at, length)?;
    let is_whole = name != *b"moof" || has_whole_tracks(file, body, end);
    is_whole.then_some((name, body..end))
}

/// Name, start of the body and end of the box at an offset; `None` unless it ends at `limit` or before.
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

/// Returns `true` if child boxes fill a `moof` box exactly, and each `traf` box in it as well.
fn has_whole_tracks(file: &File, start: u64, end: u64) -> bool {
    fills(file, start, end, |name, body, end| {
        name != *b"traf" || fills(file, body, end, |_, _, _| true)
    })
}

/// Returns `true` if valid boxes fill a range exactly.
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

/// Finds the first complete `moof` box at or after an offset.
fn next_fragment(file: &File, from: u64, length: u64) -> Option<u64> {
    let mut window = vec![0; WINDOW_BYTES];
    let mut at = from;
    while at < length {
        let count = read(file, &mut window, at).ok()?;
        let bytes = window.get(..count)?;
        let begins = |head: &[u8]| head.get(4..8) == Some(b"moof") && head.get(12..) == Some(b"mfhd");
        let starts = bytes.windows(MOOF_HEAD).enumerate().filter(|(_, head)| begins(head));
        let mut offsets = starts.map(|(offset, _)| at + offset as u64);
        if let Some(offset) = offsets.find(|offset| whole_box(file, *offset, length).is_some()) {
            return Some(offset);
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
