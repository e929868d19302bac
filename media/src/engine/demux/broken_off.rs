//! Finds files that FFmpeg reads up to a break without an error, by the lengths that their bytes tell.

use crate::engine::demux::container::BrokenOff;
use crate::engine::demux::{animation, wav};
use std::fs::File;

/// What the bytes of a file of a format tell, when it breaks off; `None` for a whole file and for other formats.
pub(crate) fn broken_off(container: &str, file: &File) -> Option<BrokenOff> {
    match container {
        "wav" => wav::broken_wav(file),
        "gif" => animation::broken_gif(file),
        "apng" => animation::broken_apng(file),
        _ => None,
    }
}
