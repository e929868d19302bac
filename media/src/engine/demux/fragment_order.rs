//! The order of the fragments of a fragmented MP4 (ISO/IEC 14496-12 §8.8).
//!
//! *Problem.* Uploads and downloads in pieces may put fragments in another order or write one twice. FFmpeg returns
//! their samples in the order of the file. Their times go back, which looks like the clock of a new recording, so
//! frames would be in the wrong order or shown twice.
//!
//! *Mechanism.* The times of each track must increase from fragment to fragment (`tfdt`, §8.8.12). Where they do not,
//! fragments are sorted by their sequence numbers (`mfhd`, §8.8.5), and of several with the same bytes one is kept.
//! This is the right order if the times increase in it. Otherwise the order is unknown.
//!
//! *Restarts.* An encoder that was restarted begins again with its numbers and times. This order counts as unknown too:
//! FFmpeg sorts samples by time while it reads, and loses those of the first fragment after a restart.
//!
//! *Limits.* The fragments of a file with a great many of them are kept up to a limit, so that they take at most
//! about 100 MiB of memory. Only the order of these is checked, and not changed.

use crate::engine::demux::mp4::{child_box, read_uint};
use crate::engine::file_bytes::{are_equal, read_be};
use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;

/// Maximum number of fragments that are kept; a day in fragments of 0.2 s has 432,000.
const MAX_FRAGMENTS: usize = 500_000;

/// Maximum number of times that are kept, for all fragments.
const MAX_TIMES: usize = 1_500_000;

/// Maximum number of tracks whose times are kept, in a fragment and in a file.
const MAX_TRACKS: usize = 64;

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
    times: Box<[(u64, Option<u64>)]>,
}

impl Fragment {
    /// Reads a `moof` box, which has its header at `moof`.
    pub(crate) fn read(file: &File, start: u64, moof: u64, body: &Range<u64>) -> Self {
        let header = child_box(file, body.clone(), b"mfhd").ok();
        let mut times = Vec::new();
        let mut rest = body.clone();
        while times.len() < MAX_TRACKS
            && let Ok(track) = child_box(file, rest.clone(), b"traf")
        {
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
            times: times.into_boxed_slice(),
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
        for (track, time) in fragment.times.iter() {
            if self.0.len() == MAX_TRACKS && !self.0.contains_key(track) {
                continue;
            }
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

/// The fragments of a file in its order.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    /// The first ones, up to the limits.
    kept: Vec<Fragment>,
    /// Number of times of all fragments.
    times: usize,
    /// Number of all fragments.
    count: usize,
}

impl Fragments {
    /// The first fragments: all, or as many as the limits allow.
    pub(crate) fn kept(&self) -> &[Fragment] {
        &self.kept
    }

    /// Number of all fragments.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    const fn are_all_kept(&self) -> bool {
        self.kept.len() == self.count
    }

    /// Adds a fragment.
    pub(crate) fn add(&mut self, fragment: Fragment) {
        self.times += fragment.times.len();
        if self.are_all_kept() && self.count < MAX_FRAGMENTS && self.times <= MAX_TIMES {
            self.kept.push(fragment);
        }
        self.count += 1;
    }

    /// Moves the end of the latest fragment, unless it is one of the first `except`.
    pub(crate) fn extend_last(&mut self, except: usize, end: u64) {
        if self.are_all_kept()
            && let Some(latest) = self.kept.get_mut(except..).and_then(<[_]>::last_mut)
        {
            latest.end = end;
        }
    }

    /// Removes all but the first `count` fragments.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.kept.truncate(count);
        self.count = self.count.min(count);
    }

    /// Returns `true` if the fragment with this index does not come after those before it; `false` if it is not kept.
    pub(crate) fn begins_again_at(&self, file: &File, index: usize) -> bool {
        let Some((fragment, before)) = self.kept.get(..=index).and_then(<[_]>::split_last) else {
            return false;
        };
        let mut latest = Latest::default();
        for fragment in before {
            latest.add(file, fragment);
        }
        !latest.add(file, fragment)
    }

    /// Determines the order of the fragments.
    pub(crate) fn arrange(&self, file: &File) -> Arrangement {
        if are_in_order(file, &self.kept) {
            return Arrangement::AsInFile;
        }
        if self.are_all_kept() {
            let mut sorted: Vec<_> = self.kept.iter().enumerate().collect();
            sorted.sort_by_key(|(_, fragment)| fragment.number);
            sorted.dedup_by(|(_, later), (_, earlier)| later.repeats(file, earlier));
            if are_in_order(file, sorted.iter().map(|(_, fragment)| *fragment)) {
                return Arrangement::Other(sorted.into_iter().map(|(index, _)| index).collect());
            }
        }
        Arrangement::Unknown
    }
}

/// The order in which fragments are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrangement {
    AsInFile,
    /// The order of their sequence numbers, without repeated ones: their indices.
    Other(Vec<usize>),
    /// They are not in order, and no order fits.
    Unknown,
}

/// Offsets of the `moof` boxes as they are read, and their sequence numbers. `ranges` are the parts of the file that
/// are read; empty for the whole file.
pub(crate) fn positions<'a>(
    ranges: &[Range<u64>],
    fragments: impl IntoIterator<Item = &'a Fragment>,
) -> Vec<(u64, u64)> {
    let mut starts = HashMap::new();
    let mut at = 0;
    for range in ranges {
        starts.insert(range.start, at);
        at += range.end - range.start;
    }
    let numbered = fragments.into_iter().filter_map(|fragment| {
        let start = starts.get(&fragment.start).copied().unwrap_or(fragment.start);
        Some((start + (fragment.moof - fragment.start), fragment.number?))
    });
    numbered.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    const BYTES: u64 = 10;

    fn fragment(index: u64, number: u64, time: u64) -> Fragment {
        let start = index * BYTES;
        Fragment {
            start,
            moof: start,
            moof_end: start + BYTES / 2,
            end: start + BYTES,
            number: Some(number),
            times: [(1, Some(time))].into(),
        }
    }

    /// The order of fragments with different content and these numbers and times.
    fn arranged(numbers_and_times: &[(u64, u64)]) -> Arrangement {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&(0..=u8::MAX).collect::<Vec<_>>(), 0).unwrap();
        let mut fragments = Fragments::default();
        for (index, (number, time)) in (0..).zip(numbers_and_times) {
            fragments.add(fragment(index, *number, *time));
        }
        fragments.arrange(&file)
    }

    #[test]
    fn fragments_are_sorted_by_number_if_their_times_increase_then() {
        assert_eq!(arranged(&[(1, 0), (2, 10), (3, 20)]), Arrangement::AsInFile);
        assert_eq!(
            arranged(&[(1, 0), (3, 20), (2, 10), (4, 30)]),
            Arrangement::Other(vec![0, 2, 1, 3])
        );
        assert_eq!(arranged(&[(1, 20), (2, 0), (3, 10)]), Arrangement::Unknown);
    }

    #[test]
    fn the_order_after_a_restart_of_the_encoder_is_unknown() {
        assert_eq!(
            arranged(&[(1, 0), (2, 10), (3, 20), (1, 0), (2, 10), (3, 20), (4, 30)]),
            Arrangement::Unknown
        );
    }

    #[test]
    fn of_too_many_fragments_the_first_ones_are_kept_and_stay_in_the_order_of_the_file() {
        let file = tempfile::tempfile().unwrap();
        let mut fragments = Fragments::default();
        for number in (0..).take(MAX_FRAGMENTS + 2) {
            fragments.add(fragment(number, number, number));
        }
        fragments.extend_last(0, u64::MAX);
        assert_eq!(
            (fragments.kept().len(), fragments.count()),
            (MAX_FRAGMENTS, MAX_FRAGMENTS + 2)
        );
        assert!(fragments.kept().iter().all(|fragment| fragment.end < u64::MAX));
        assert_eq!(fragments.arrange(&file), Arrangement::AsInFile);
        fragments.kept.swap(5, 6);
        assert_eq!(fragments.arrange(&file), Arrangement::Unknown);
        fragments.truncate(7);
        assert_eq!(fragments.arrange(&file), Arrangement::Other(vec![0, 1, 2, 3, 4, 6, 5]));
    }

    #[test]
    fn the_times_of_all_fragments_together_are_limited() {
        let mut fragments = Fragments::default();
        let most = MAX_TIMES / MAX_TRACKS;
        for number in (0..).take(most + 1) {
            let times = (0..).take(MAX_TRACKS).map(|track| (track, Some(number)));
            fragments.add(Fragment {
                times: times.collect(),
                ..fragment(number, number, number)
            });
        }
        assert_eq!((fragments.kept().len(), fragments.count()), (most, most + 1));
    }
}
