//! Detection of truncated files that FFmpeg reads without an error, by the sizes that they state.

use crate::engine::demux::container::BrokenOff;
use crate::engine::demux::{animation, wav};
use std::fs::File;

/// Checks if a file is truncated. Returns `None` for a complete file and for other formats than WAV, GIF and APNG.
pub(crate) fn broken_off(container: &str, file: &File) -> Option<BrokenOff> {
    match container {
        "wav" => wav::broken_wav(file),
        "gif" => animation::broken_gif(file),
        "apng" => animation::broken_apng(file),
        _ => None,
    }
}
