//! Lengths of files that FFmpeg does not report: of those that are shorter than they state, which it reads without an
//! error, and of several files one after the other.

use crate::engine::cancel::Cancel;
use crate::engine::demux::broken_off::{BreakCause, BrokenOff};
use crate::engine::demux::container::{is_matroska, is_mp4};
use crate::engine::demux::file_structure::FileStructure;
use crate::engine::demux::fragments::Chain;
use crate::engine::demux::{animation, asf, matroska, wav};
use std::fs::File;

/// Compares a file with the sizes and lengths that it states. The result is empty for a complete file, and for formats
/// that do not state them. In MP4 and Matroska, the header has the duration of the whole file as well.
pub(crate) fn find(container: &str, file: &File, structure: &FileStructure, cancel: &Cancel) -> BrokenOff {
    let broken = match container {
        "wav" => wav::broken_wav(file),
        "asf" => asf::broken_asf(file),
        "gif" => animation::broken_gif(file, cancel),
        "apng" => animation::broken_apng(file),
        name if is_matroska(name) => matroska::is_cut(file).then_some(BrokenOff::of_unknown_length(BreakCause::Size)),
        name if is_mp4(name) => {
            let cause = structure.boxes().and_then(Chain::break_cause);
            cause.map(BrokenOff::of_unknown_length)
        }
        _ => match structure {
            FileStructure::Flac { joined_length_us } => Some(BrokenOff {
                length_us: *joined_length_us,
                unknown_loss: None,
            }),
            FileStructure::Boxes(_) | FileStructure::Packets => None,
        },
    };
    broken.unwrap_or_default()
}
