//! Shortens the first track of a finished MP4, so that its last frames are hidden.
//!
//! A copied span may end with frames that are shown after the end of the span, because earlier frames refer to them.
//! These packets must be in the file but must not be shown. FFmpeg's muxer shows all packets that it is given, so the
//! durations are patched in place after the trailer is written: no box changes its size, and offsets stay valid.

use crate::engine::demux::mp4::{child_box, read_uint};
use crate::engine::file_bytes::read;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A duration in a box, big-endian.
#[derive(Clone, Copy)]
struct DurationField {
    /// Position in the file in bytes.
    offset: u64,
    /// Set if it has eight bytes instead of four.
    is_64_bit: bool,
}

/// Sets the duration of the first track in microseconds: in its edit list (`elst`) and header (`tkhd`), and in the
/// movie header (`mvhd`), which has the duration of the longest track (ISO/IEC 14496-12, sections 8.2.2, 8.3.2 and
/// 8.6.6).
///
/// # Errors
/// The file cannot be written, or its boxes differ from those that FFmpeg writes.
pub(crate) fn set_first_track_duration(path: &Path, duration_us: u64) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let moov = child_box(&file, 0..file.metadata()?.len(), b"moov")?;
    let header = child_box(&file, moov.clone(), b"mvhd")?;
    let trak = child_box(&file, moov.clone(), b"trak")?;
    let is_64_bit = has_64_bit_times(&file, &header)?;
    let timescale = u128::from(read_uint(&file, header.start + if is_64_bit { 20 } else { 12 }, false)?);
    // All three durations count in the time scale of the movie header, not of the track.
    let duration = u64::try_from(u128::from(duration_us) * timescale / 1_000_000).unwrap_or(u64::MAX);
    track_duration(&file, &trak)?.write(&file, duration)?;
    let movie_duration = DurationField {
        offset: header.start + if is_64_bit { 24 } else { 16 },
        is_64_bit,
    };
    movie_duration.write(&file, longest_track(&file, moov)?)?;
    let edits = child_box(&file, trak, b"edts")?;
    let edits = child_box(&file, edits, b"elst")?;
    let is_64_bit = has_64_bit_times(&file, &edits)?;
    // The last entry shows the media; an entry before it is an empty edit that delays the start.
    let last_entry = read_uint(&file, edits.start + 4, false)?.saturating_sub(1);
    let segment_duration = DurationField {
        offset: edits.start + 8 + last_entry * if is_64_bit { 20 } else { 12 },
        is_64_bit,
    };
    segment_duration.write(&file, duration)
}

/// Finds the duration in the header of a track.
fn track_duration(file: &File, trak: &Range<u64>) -> io::Result<DurationField> {
    let header = child_box(file, trak.clone(), b"tkhd")?;
    let is_64_bit = has_64_bit_times(file, &header)?;
    Ok(DurationField {
        offset: header.start + if is_64_bit { 28 } else { 20 },
        is_64_bit,
    })
}

/// Returns the duration of the longest track in the time scale of the movie.
fn longest_track(file: &File, mut moov: Range<u64>) -> io::Result<u64> {
    let mut longest = 0;
    while let Ok(trak) = child_box(file, moov.clone(), b"trak") {
        let duration = track_duration(file, &trak)?;
        longest = longest.max(read_uint(file, duration.offset, duration.is_64_bit)?);
        moov.start = trak.end;
    }
    Ok(longest)
}

/// Returns `true` if the times in a full box have eight bytes: its version is 1.
fn has_64_bit_times(file: &File, body: &Range<u64>) -> io::Result<bool> {
    Ok(read::<1>(file, body.start)? == [1])
}

impl DurationField {
    fn write(self, file: &File, duration: u64) -> io::Result<()> {
        if self.is_64_bit {
            file.write_all_at(&duration.to_be_bytes(), self.offset)
        } else {
            let duration = u32::try_from(duration).map_err(|_| io::ErrorKind::InvalidData)?;
            file.write_all_at(&duration.to_be_bytes(), self.offset)
        }
    }
}
