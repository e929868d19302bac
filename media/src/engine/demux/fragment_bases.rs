//! Absolute offsets in fragments of an MP4 (`tfhd`, ISO/IEC 14496-12 §8.8.7), corrected where fragments have moved.

use crate::engine::demux::edited_file::Patch;
use crate::engine::demux::fragment_order::Fragment;
use crate::engine::demux::mp4::child_box;
use crate::engine::file_bytes::read_be;
use std::fs::File;
use std::ops::Range;

/// Flag `base-data-offset-present` of `tfhd`: the offset counts from the start of the file.
const BASE_DATA_OFFSET: u64 = 1;

/// Calls `visit` with the position and the value of each base offset in the `tfhd` boxes of a `moof` box.
fn for_each_base(file: &File, moof: Range<u64>, mut visit: impl FnMut(u64, u64)) {
    let mut rest = moof;
    while let Ok(track) = child_box(file, rest.clone(), b"traf") {
        rest.start = track.end;
        let Ok(header) = child_box(file, track, b"tfhd") else {
            continue;
        };
        // After version, flags and track ID.
        let field = header.start + 8;
        let flags = read_be::<4>(file, header.start).unwrap_or(0);
        if let Some(base) = read_be::<8>(file, field).ok().filter(|_| flags & BASE_DATA_OFFSET > 0) {
            visit(field, base);
        }
    }
}

/// Corrects the base offsets of a `moof` box that missing bytes have moved.
pub(crate) fn rebase(file: &File, moof: u64, body: Range<u64>, patches: &mut Vec<Patch>) {
    let end = body.end;
    let mut moved_base = None;
    for_each_base(file, body, |at, base| {
        // Most writers that set this flag use the offset of the `moof` box. An offset behind this box is that of the
        // box before bytes were lost.
        let is_moved = base > moof && *moved_base.get_or_insert(base) == base && base - moof > end - moof + 16;
        if is_moved {
            let bytes = moof.to_be_bytes().to_vec();
            patches.push(Patch { at, bytes });
        }
    });
}

/// Corrects the base offsets of a fragment whose `moof` box is read at another offset.
pub(crate) fn move_base(file: &File, fragment: &Fragment, moof: u64, patches: &mut Vec<Patch>) {
    for_each_base(file, fragment.moof + 8..fragment.moof_end, |at, base| {
        // In the order in which they were written, all fragments have their first offsets again.
        let as_read = moof..moof + (fragment.end - fragment.moof);
        if !as_read.contains(&base) {
            let is_inside = (fragment.moof..fragment.end).contains(&base);
            let moved = moof + if is_inside { base - fragment.moof } else { 0 };
            let bytes = moved.to_be_bytes().to_vec();
            patches.push(Patch { at, bytes });
        }
    });
}
