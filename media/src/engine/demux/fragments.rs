//! Repair of the chain of boxes of fragmented MP4 files (ISO/IEC 14496-12 §8.8) with missing, overwritten, repeated or
//! reordered fragments.
//!
//! *Problem.* FFmpeg finds each fragment by the size of the box before it. Where a box is broken, it ends the file
//! there, although each following `moof` box states its own samples and their times. It returns fragments in the order
//! of the file, also if their times go back.
//!
//! *Mechanism.* The chain of top-level boxes is followed by their sizes. Where it breaks, the next complete `moof` box
//! is searched, and FFmpeg reads an `mdat` header in place of the broken bytes, which extends to that box. File offsets
//! do not change, so offsets in other boxes stay valid. If bytes are missing, absolute offsets in `tfhd` boxes after
//! them (`base-data-offset-present`) are corrected. Files without `moof` boxes are not changed: their index does not
//! depend on the chain. Fragments that are not in order are read in order ([`fragment_order`]), and then the positions
//! of packets are those of the file as it is read.
//!
//! *Losses.* A fragment is missing where the chain breaks, where the sequence number steps by more than elsewhere in
//! the file (`mfhd`, §8.8.5), and at the end if a box extends beyond it or `mfra` lists more fragments than there are.
//! If no order of the fragments fits, an unknown amount counts as missing. A second file after the first one is not
//! read.
//!
//! *Rejected.* A repaired copy of the file: it would double the space and the time of reading.

use crate::engine::cancel::Cancel;
use crate::engine::demux::broken_off::BreakCause;
use crate::engine::demux::edited_file::{ByteEdits, Patch};
use crate::engine::demux::fragment_bases::{move_base, rebase};
use crate::engine::demux::fragment_order::{self, Arrangement, Fragment, Fragments};
use crate::engine::demux::mp4::{BoxHeader, child_box, read_uint};
use crate::engine::file_bytes::{find, length};
use domain::Failure;
use std::collections::HashSet;
use std::fs::File;
use std::ops::Range;

/// Maximum number of boxes to follow; a day in fragments of 0.1 s has two million.
const MAX_BOXES: u32 = 2_000_000;

/// Maximum number of boxes to follow in a `moof` or `traf` box.
const MAX_CHILDREN: u32 = 10_000;

/// Maximum number of patches.
const MAX_PATCHES: usize = 200_000;

/// Size in bytes of the start of a `moof` box up to the name of its first child.
const MOOF_HEAD: usize = 16;

/// Returns `true` when samples of a file may be in fragments, so that its index does not list them all.
pub(crate) fn is_fragmented(file: &File) -> bool {
    child_box(file, 0..length(file), b"moov").is_ok_and(|moov| has_fragments(file, moov))
}

/// Returns `true` if a `moov` box announces fragments.
fn has_fragments(file: &File, moov: Range<u64>) -> bool {
    child_box(file, moov, b"mvex").is_ok()
}

/// The chain of boxes of the top level.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    /// Edits that repair a fragmented file; none for other files.
    pub(crate) edits: ByteEdits,
    /// Offsets of fragments before which bytes are missing, in the order of the file as it is read.
    pub(crate) breaks: Vec<u64>,
    /// `true` if bytes are missing at the end of a fragmented file.
    pub(crate) is_cut: bool,
    /// `true` if the file lists more fragments than it has.
    pub(crate) lacks_fragments: bool,
    /// `true` if the fragments are not in order, and the right order is not known.
    pub(crate) is_disordered: bool,
    /// Offset of a second file, which is not read.
    pub(crate) second_file: Option<u64>,
}

impl Chain {
    /// The reason why a part of the file is missing whose length is not known.
    pub(crate) const fn break_cause(&self) -> Option<BreakCause> {
        if self.is_cut {
            Some(BreakCause::End)
        } else if self.lacks_fragments {
            Some(BreakCause::Fragments)
        } else if self.is_disordered {
            Some(BreakCause::Order)
        } else {
            None
        }
    }
}

/// Follows the boxes of the top level.
///
/// # Errors
/// [`domain::Code::Unavailable`] if the work is canceled.
pub(crate) fn read_chain(file: &File, cancel: &Cancel) -> Result<Chain, Failure> {
    let length = length(file);
    let mut walk = Walk::default();
    let (mut at, mut before) = (0, 0);
    for _ in 0..MAX_BOXES {
        cancel.check()?;
        if at == length || walk.chain.edits.patches.len() >= MAX_PATCHES {
            break;
        }
        if let Some((name, body)) = whole_box(file, at, length) {
            (before, at) = (at, body.end);
            walk.add_box(file, before, name, body);
            // The samples of a fragment follow it.
            walk.chain.is_cut = name == *b"moof" && at == length;
            continue;
        }
        // If bytes are missing, the box before the break seems to extend over the start of the next fragment.
        let Some(next) = Some(before + 8)
            .filter(|_| walk.is_fragmented)
            .and_then(|from| next_fragment(file, from, length, cancel))
        else {
            // Without fragments the index has all samples, and some writers give `mdat` a size that is too large.
            walk.chain.is_cut = walk.is_fragmented && extends_beyond(file, at, length);
            // FFmpeg refuses a file that ends inside of a `moof` box.
            let patch = mdat_header(at, length).filter(|_| walk.chain.is_cut);
            walk.chain.edits.patches.extend(patch);
            break;
        };
        let patch = mdat_header(at, next).or_else(|| mdat_header(before, next));
        walk.chain.edits.patches.extend(patch);
        walk.chain.breaks.push(next);
        (before, at) = (next, next);
    }
    Ok(walk.finish(file, length))
}

/// The header of an `mdat` box that extends from one offset to another; `None` if there is no space for it.
fn mdat_header(at: u64, next: u64) -> Option<Patch> {
    let length = next.checked_sub(at)?;
    let bytes = match u32::try_from(length) {
        Ok(short) if short >= 8 => [&short.to_be_bytes()[..], b"mdat"].concat(),
        Ok(_) => return None,
        Err(_) => [&1_u32.to_be_bytes()[..], b"mdat", &length.to_be_bytes()].concat(),
    };
    Some(Patch { at, bytes })
}

/// The boxes of a file so far.
#[derive(Debug, Default)]
struct Walk {
    chain: Chain,
    is_fragmented: bool,
    fragments: Fragments,
    /// Start of the boxes before the next `moof` box that belong to it.
    lead: Option<u64>,
    /// Offsets of `sidx` boxes, which have the positions of fragments.
    indexes: Vec<u64>,
    has_movie: bool,
    has_samples: bool,
    /// The first `ftyp` box after the first `moov` box.
    type_box: Option<SecondHeader>,
    /// The header of a second file, or a repeated header of the first one.
    second_header: Option<SecondHeader>,
}

/// The start of a header after that of the file.
#[derive(Clone, Copy, Debug)]
struct SecondHeader {
    at: u64,
    /// Number of fragments before it.
    fragments: usize,
    /// `true` if samples are before it.
    follows_samples: bool,
}

impl Walk {
    fn add_box(&mut self, file: &File, at: u64, name: [u8; 4], body: Range<u64>) {
        match &name {
            b"moov" => {
                self.is_fragmented |= has_fragments(file, body);
                self.second_header = self.second_header.or(self.type_box);
                self.has_movie = true;
            }
            b"ftyp" if self.has_movie => {
                self.type_box.get_or_insert(SecondHeader {
                    at,
                    fragments: self.fragments.count(),
                    follows_samples: self.has_samples,
                });
            }
            b"moof" => {
                self.is_fragmented = true;
                let start = self.lead.take().unwrap_or(at);
                self.fragments.add(Fragment::read(file, start, at, &body));
                if !self.chain.edits.patches.is_empty() {
                    rebase(file, at, body, &mut self.chain.edits.patches);
                }
            }
            b"mdat" => {
                self.has_samples = true;
                // Those of a second file belong to no fragment of the first one.
                let in_second = self.type_box.map_or(0, |second| second.fragments);
                self.fragments.extend_last(in_second, body.end);
            }
            b"mfra" => self.chain.lacks_fragments |= lists_more(file, body, self.fragments.count()),
            b"styp" | b"sidx" | b"emsg" | b"prft" => {
                self.lead.get_or_insert(at);
                if name == *b"sidx" {
                    self.indexes.push(at);
                }
            }
            _ => {}
        }
    }

    /// Determines the order of the fragments, the edits for it, and the missing ones.
    fn finish(mut self, file: &File, length: u64) -> Chain {
        if let Some(second) = self.second_header.filter(|second| second.follows_samples) {
            // Some recordings repeat the header. The times of their fragments go on.
            let count = second.fragments;
            let goes_on = count > 0 && count < self.fragments.count();
            if !goes_on || self.fragments.begins_again_at(file, count) {
                self.chain.second_file = Some(second.at);
                self.fragments.truncate(count);
            }
        }
        let end = self.chain.second_file.filter(|_| self.is_fragmented).unwrap_or(length);
        let is_repaired = !self.chain.edits.patches.is_empty();
        let mut order: Vec<_> = (0..self.fragments.kept().len()).collect();
        match self.fragments.arrange(file) {
            Arrangement::AsInFile => {}
            Arrangement::Other(other) if !is_repaired => {
                if self.reorder(file, &other, end) {
                    order = other;
                } else {
                    self.chain.is_disordered = true;
                }
            }
            Arrangement::Other(_) | Arrangement::Unknown => self.chain.is_disordered = true,
        }
        if self.chain.edits.ranges.is_empty() && end < length {
            let first_file = 0..end;
            self.chain.edits.ranges.push(first_file);
        }
        self.chain.edits.patches.sort_by_key(|patch| patch.at);
        let as_read = order.iter().filter_map(|index| self.fragments.kept().get(*index));
        let numbers = fragment_order::positions(&self.chain.edits.ranges, as_read);
        self.chain.breaks.extend(missing_before(&numbers));
        self.chain.breaks.sort_unstable();
        self.chain
    }

    /// Reads the file with its fragments in another order. Returns `false` if that takes too many patches.
    fn reorder(&mut self, file: &File, order: &[usize], end: u64) -> bool {
        let fragments = self.fragments.kept();
        let first = fragments.first().map_or(0, |fragment| fragment.start);
        let last = fragments.last().map_or(end, |fragment| fragment.end);
        let mut at = first;
        let header = 0..first;
        let (mut ranges, mut patches) = (vec![header], Vec::new());
        for fragment in order.iter().filter_map(|index| fragments.get(*index)) {
            let moof = at + (fragment.moof - fragment.start);
            move_base(file, fragment, moof, &mut patches);
            if patches.len() + self.indexes.len() > MAX_PATCHES {
                return false;
            }
            ranges.push(fragment.start..fragment.end);
            at += fragment.end - fragment.start;
        }
        ranges.push(last..end);
        // They have the positions in the other order, or wrong ones.
        let hidden = self.indexes.iter().map(|at| Patch {
            at: at + 4,
            bytes: b"free".to_vec(),
        });
        patches.extend(hidden);
        self.chain.edits.patches = patches;
        self.chain.edits.ranges = ranges;
        true
    }
}

/// Offsets of fragments before which others are missing: their number steps by more than the smallest step, which is 1
/// for most writers. `numbers` has offsets and numbers.
fn missing_before(numbers: &[(u64, u64)]) -> Vec<u64> {
    let step = |pair: &[(u64, u64)]| match pair {
        [(_, old), (at, new)] => new.checked_sub(*old).filter(|step| *step > 0).map(|step| (*at, step)),
        _ => None,
    };
    let steps: Vec<_> = numbers.windows(2).filter_map(step).collect();
    let least = steps.iter().map(|(_, step)| *step).min().unwrap_or(0);
    let wide = steps.into_iter().filter(|(_, step)| *step > least);
    wide.map(|(at, _)| at).collect()
}

/// Returns `true` if an `mfra` box lists more than this number of fragments (§8.8.9). Their offsets may be wrong in a
/// file that was edited later.
fn lists_more(file: &File, mfra: Range<u64>, count: usize) -> bool {
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
            if offsets.len() > count {
                return true;
            }
        }
    }
    false
}

/// Returns `true` if the box at an offset has media and extends beyond the end of the file.
fn extends_beyond(file: &File, at: u64, length: u64) -> bool {
    valid_box(file, at, u64::MAX)
        .is_some_and(|header| matches!(&header.name, b"mdat" | b"moof") && header.body.end > length)
}

/// Name and body of the box at an offset of the top level; `None` unless it is complete.
fn whole_box(file: &File, at: u64, length: u64) -> Option<([u8; 4], Range<u64>)> {
    let BoxHeader { name, body } = valid_box(file, at, length)?;
    let is_whole = name != *b"moof" || has_whole_tracks(file, &body);
    is_whole.then_some((name, body))
}

/// The header of the box at an offset; `None` unless it has a name and ends at `limit` or before.
fn valid_box(file: &File, at: u64, limit: u64) -> Option<BoxHeader> {
    let header = BoxHeader::read(file, at, limit).ok()?;
    let is_named = header.name.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    (is_named && header.body.end <= limit).then_some(header)
}

/// Returns `true` if child boxes fill a `moof` box exactly, and each `traf` box in it as well.
fn has_whole_tracks(file: &File, moof: &Range<u64>) -> bool {
    fills(file, moof, |child| {
        child.name != *b"traf" || fills(file, &child.body, |_| true)
    })
}

/// Returns `true` if valid boxes fill a range exactly.
fn fills(file: &File, range: &Range<u64>, is_valid: impl Fn(&BoxHeader) -> bool) -> bool {
    let mut at = range.start;
    for _ in 0..MAX_CHILDREN {
        if at >= range.end {
            break;
        }
        match valid_box(file, at, range.end) {
            Some(child) if is_valid(&child) => at = child.body.end,
            _ => return false,
        }
    }
    at == range.end
}

/// Finds the first complete `moof` box at or after an offset. Any offset if the work is canceled.
fn next_fragment(file: &File, from: u64, length: u64, cancel: &Cancel) -> Option<u64> {
    find(file, from, MOOF_HEAD, |at, head| {
        let begins = head.get(4..8) == Some(b"moof") && head.get(12..) == Some(b"mfhd");
        cancel.is_raised() || begins && whole_box(file, at, length).is_some()
    })
}
