//! Ends a track of a finished MP4 before its last pictures, which stay for others to be decoded. FFmpeg's muxer shows
//! all that it is given.

use crate::engine::demux::mp4::{child, number};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where in a file a number stands, and whether in eight bytes rather than four.
type LengthField = (u64, bool);

/// Sets the length of the first track of a file, in microseconds: in its edit list and its header, and in the header of the
/// whole, which is as long as its longest track (ISO/IEC 14496-12 §8.2.2, §8.3.2, §8.6.6).
///
/// # Errors
/// The file cannot be changed, or is not as FFmpeg writes it.
pub(crate) fn end_first_track(path: &Path, length_us: u64) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let moov = child(&file, 0..file.metadata()?.len(), b"moov")?;
    let header = child(&file, moov.clone(), b"mvhd")?;
    let trak = child(&file, moov.clone(), b"trak")?;
    let wide = is_wide(&file, &header)?;
    let scale = u128::from(number(&file, header.start + if wide { 20 } else { 12 }, false)?);
    let length = u64::try_from(u128::from(length_us) * scale / 1_000_000).unwrap_or(u64::MAX);
    set(&file, length_of(&file, &trak)?, length)?;
    let whole = (header.start + if wide { 24 } else { 16 }, wide);
    set(&file, whole, longest(&file, moov)?)?;
    let edits = child(&file, trak, b"edts")?;
    let edits = child(&file, edits, b"elst")?;
    let wide = is_wide(&file, &edits)?;
    // The last edit shows the pictures; one before it would be a delay.
    let before = number(&file, edits.start + 4, false)?.saturating_sub(1);
    let last = edits.start + 8 + before * if wide { 20 } else { 12 };
    set(&file, (last, wide), length)
}

/// Where the header of a track has its length.
fn length_of(file: &File, trak: &Range<u64>) -> io::Result<LengthField> {
    let header = child(file, trak.clone(), b"tkhd")?;
    let wide = is_wide(file, &header)?;
    Ok((header.start + if wide { 28 } else { 20 }, wide))
}

/// The length of the longest track.
fn longest(file: &File, mut moov: Range<u64>) -> io::Result<u64> {
    let mut longest = 0;
    while let Ok(trak) = child(file, moov.clone(), b"trak") {
        let (at, wide) = length_of(file, &trak)?;
        longest = longest.max(number(file, at, wide)?);
        moov.start = trak.end;
    }
    Ok(longest)
}

/// Whether the times in a box have eight bytes: its version is 1.
fn is_wide(file: &File, body: &Range<u64>) -> io::Result<bool> {
    let mut version = [0];
    file.read_exact_at(&mut version, body.start)?;
    Ok(version == [1])
}

fn set(file: &File, (at, wide): LengthField, number: u64) -> io::Result<()> {
    if wide {
        file.write_all_at(&number.to_be_bytes(), at)
    } else {
        let short = u32::try_from(number).map_err(|_| io::ErrorKind::InvalidData)?;
        file.write_all_at(&short.to_be_bytes(), at)
    }
}
