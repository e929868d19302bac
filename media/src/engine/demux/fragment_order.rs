//! The order of the fragments of a fragmented MP4 (ISO/IEC 14496-12 §8.8).
//!
//! *Problem.* Uploads and downloads in pieces may put fragments in another order or write one twice. FFmpeg returns
//! their samples in the order of the file. Their times go back, which looks like the clock of a new recording, so
//! frames would be in the wrong order or shown twice.
//!
//! *Mechanism.* The times of each track must increase from fragment to fragment (`tfdt`, §8.8.12). Where they do not,
//! fragments are sorted by their sequence numbers (`mfhd`, §8.8.5), and of several with the same bytes one is kept.
//! This is the right order if the times increase in it. Otherwise the order is unknown.

use crate::engine::demux::mp4::{child_box, read_uint};
use crate::engine::file_bytes::{are_equal, read_be};
use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;

/// A `moof` box with the boxes that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// Start of the boxes that precede it.
    pub(crate) start: u64,
    /// Start of the `moof` box, and its end.
    pub(crate) moof: u64,
    pub(crate) moof_end: u64,
    /// End of the last box of its samples.
    pub(crate) end: u64,
    number: Option<u64>,
    /// Time of the first sample of each track; `None` if the fragment does not state it.
    times: Vec<(u64, Option<u64>)>,
}

impl Fragment {
    /// Reads a `moof` box, which has its header at `moof`.
    pub(crate) fn read(file: &File, start: u64, moof: u64, body: &Range<u64>) -> Self {
        let header = child_box(file, body.clone(), b"mfhd").ok();
        let mut times = Vec::new();
        let mut rest = body.clone();
        while let Ok(track) = child_box(file, rest.clone(), b"traf") {
            rest.start = track.end;
            let id = child_box(file, track.clone(), b"tfhd").and_then(|header| read_be::<4>(file, header.start + 4));
            let time = child_box(file, track, b"tfdt").and_then(|time| {
                let is_64_bit = read_be::<1>(file, time.start)? == 1;
                read_uint(file, time.start + 4, is_64_bit)
            });
            times.extend(id.ok().map(|id| (id, time.ok())));
        }
        Self {
            start,
            moof,
            moof_end: body.end,
            end: body.end,
            number: header.and_then(|header| read_be::<4>(file, header.start + 4).ok()),
            times,
        }
    }

    /// Returns `true` if the samples are those of another fragment.
    fn repeats(&self, file: &File, other: &Self) -> bool {
        let same_header = self.number == other.number && self.times == other.times;
        same_header && are_equal(file, &(self.moof..self.end), &(other.moof..other.end))
    }
}

/// Latest fragment of each track.
#[derive(Default)]
struct Latest<'a>(HashMap<u64, (&'a Fragment, Option<u64>)>);

impl<'a> Latest<'a> {
    /// Adds a fragment. Returns `false` if it does not come after the latest one of each of its tracks.
    fn add(&mut self, file: &File, fragment: &'a Fragment) -> bool {
        let mut is_after = true;
        for (track, time) in &fragment.times {
            if let Some((latest, latest_time)) = self.0.insert(*track, (fragment, *time)) {
                is_after &= match (latest_time, *time) {
                    // A fragment without samples of a track has the time of the next one.
                    (Some(old), Some(new)) if old == new => fragment.number != latest.number,
                    (Some(old), Some(new)) => old < new,
                    _ => fragment.number >= latest.number && !fragment.repeats(file, latest),
                };
            }
        }
        is_after
    }
}

/// Returns `true` if each fragment comes after those before it.
fn are_in_order<'a>(file: &File, fragments: impl IntoIterator<Item = &'a Fragment>) -> bool {
    let mut latest = Latest::default();
    fragments.into_iter().all(|fragment| latest.add(file, fragment))
}

/// Returns `true` if the fragment with this index does not come after those before it.
pub(crate) fn restarts(file: &File, fragments: &[Fragment], index: usize) -> bool {
    let mut latest = Latest::default();
    let is_after: Vec<_> = fragments
        .iter()
        .take(index + 1)
        .map(|fragment| latest.add(file, fragment))
        .collect();
    is_after.get(index) == Some(&false)
}

/// The order in which fragments are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrangement {
    AsInFile,
    /// The order of their sequence numbers, without repeated ones.
    Other(Vec<Fragment>),
    /// They are not in order, and no order fits.
    Unknown,
}

/// Determines the order of fragments.
pub(crate) fn arrange(file: &File, fragments: &[Fragment]) -> Arrangement {
    if are_in_order(file, fragments) {
        return Arrangement::AsInFile;
    }
    let mut sorted = fragments.to_vec();
    sorted.sort_by_key(|fragment| fragment.number);
    sorted.dedup_by(|later, earlier| later.repeats(file, earlier));
    if are_in_order(file, &sorted) {
        Arrangement::Other(sorted)
    } else {
        Arrangement::Unknown
    }
}

/// Offsets of the `moof` boxes as they are read, and their sequence numbers. `ranges` are the parts of the file that
/// are read; empty for the whole file.
pub(crate) fn positions(ranges: &[Range<u64>], fragments: &[Fragment]) -> Vec<(u64, u64)> {
    let mut starts = HashMap::new();
    let mut at = 0;
    for range in ranges {
        starts.insert(range.start, at);
        at += range.end - range.start;
    }
    let numbered = fragments.iter().filter_map(|fragment| {
        let start = starts.get(&fragment.start).copied().unwrap_or(fragment.start);
        Some((start + (fragment.moof - fragment.start), fragment.number?))
    });
    numbered.collect()
}
