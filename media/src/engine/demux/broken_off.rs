//! Detection of truncated files that FFmpeg reads without an error, by the sizes that they state.

use crate::engine::demux::container::BrokenOff;
use crate::engine::demux::{animation, fragments, matroska, wav};
use std::fs::File;

/// Checks if a file is truncated. Returns `None` for a complete file, and for formats that do not state sizes. In MP4
/// and Matroska, the header has the duration of the whole file as well.
pub(crate) fn broken_off(container: &str, file: &File) -> Option<BrokenOff> {
    match container {
        "wav" => wav::broken_wav(file),
        "gif" => animation::broken_gif(file),
        "apng" => animation::broken_apng(file),
        "matroska,webm" => matroska::is_cut(file).then_some(BrokenOff::of_unknown_length(true)),
        name if name.starts_with("mov") => {
            let chain = fragments::chain(file);
            (chain.is_cut || chain.lacks_fragments).then_some(BrokenOff::of_unknown_length(!chain.is_cut))
        }
        _ => None,
    }
}
