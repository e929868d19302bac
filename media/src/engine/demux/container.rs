//! Properties of a container that several stages ask for.

use crate::engine::ffi::input;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Stream;

/// Whether lengths and times are those of an AVI, which have ways of their own.
pub(crate) fn is_avi(input: &Input) -> bool {
    input.format().name() == "avi"
}

/// Returns `true` for bare FLAC: its header tells the length of the first file only when a second one is appended.
pub(crate) fn is_flac(input: &Input) -> bool {
    input.format().name() == "flac"
}

/// Whether the clock of a source may jump forward.
pub(crate) fn may_jump(input: &Input) -> bool {
    input::may_jump(input) || input.format().name() == "flv"
}

/// Whether packets of VP8 or VP9 carry a second picture each, which is the alpha of the first (RFC 9559 §5.1.4.1.28.4).
pub(crate) fn has_alpha_layer(stream: &Stream<'_>) -> bool {
    stream.metadata().get("alpha_mode") == Some("1")
}

/// ISO 639 tags only: nothing else that stands in the file is taken over.
pub(crate) fn language(stream: &Stream<'_>) -> Option<String> {
    let tag = stream.metadata().get("language")?.to_owned();
    ((2..=3).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_lowercase()) && tag != "und").then_some(tag)
}

/// A file that breaks off, or has a break that FFmpeg does not read over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BrokenOff {
    /// Its length in microseconds by its header or its frames.
    pub(crate) length_us: u64,
    /// `true` when frames may be missing that nothing tells of.
    pub(crate) open_end: bool,
}
