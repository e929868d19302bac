//! Lengths of files that FFmpeg does not report: of those that are shorter than they state, which it reads without an
//! error, and of several files one after the other.

use crate::engine::demux::broken_off::BrokenOff;
use crate::engine::demux::container::is_matroska;
use crate::engine::demux::{animation, asf, flac_files, fragments, matroska, wav};
use std::fs::File;

/// Compares a file with the sizes and lengths that it states. Returns `None` for a complete file, and for formats that
/// do not state them. In MP4 and Matroska, the header has the duration of the whole file as well.
pub(crate) fn find_break(container: &str, file: &File) -> Option<BrokenOff> {
    match container {
        "wav" => wav::broken_wav(file),
        "asf" => asf::broken_asf(file),
        "gif" => animation::broken_gif(file),
        "apng" => animation::broken_apng(file),
        name if is_matroska(name) => matroska::is_cut(file).then_some(BrokenOff::of_unknown_length(true)),
        name if name.starts_with("mov") => {
            let chain = fragments::chain(file);
            let is_broken = chain.is_cut || chain.lacks_fragments || chain.is_disordered;
            is_broken.then_some(BrokenOff::of_unknown_length(!chain.is_cut))
        }
        _ => None,
    }
}

/// Length in microseconds that a file states, where FFmpeg does not report it; 0 if it is not known. `broken` is the
/// result of [`find_break`].
pub(crate) fn length_us(container: &str, file: &File, broken: Option<BrokenOff>) -> u64 {
    match broken {
        Some(broken) => broken.length_us,
        None if container == "flac" => flac_files::joined_length_us(file).unwrap_or(0),
        None => 0,
    }
}
