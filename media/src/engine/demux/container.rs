//! Properties of containers and their streams that several stages need.

use crate::engine::ffi::input;
use crate::engine::ffi::parameters::{self, MediaType};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::{Disposition, Stream};

/// Returns `true` if this is FFmpeg's name of the Matroska and WebM demuxer.
pub(crate) fn is_matroska(container: &str) -> bool {
    container == "matroska,webm"
}

/// Returns `true` if this is FFmpeg's name of the demuxer of MP4 and its relatives (MOV, 3GP).
pub(crate) fn is_mp4(container: &str) -> bool {
    container.starts_with("mov,")
}

/// Returns `true` for cover art, which the container has as a video stream of one frame.
pub(crate) fn is_cover_art(stream: &Stream<'_>) -> bool {
    stream.disposition().contains(Disposition::ATTACHED_PIC)
}

/// The streams of a kind without cover art, in the order of their tracks in the file.
pub(crate) fn streams_of_kind(input: &Input, kind: MediaType) -> impl Iterator<Item = Stream<'_>> {
    let is_of_kind =
        move |stream: &Stream<'_>| parameters::codec_facts(&stream.parameters()).kind == kind && !is_cover_art(stream);
    input.streams().filter(is_of_kind)
}

/// Returns `true` for AVI, which stores no timestamps: they follow from the frame rate and the position of a packet.
pub(crate) fn is_avi(input: &Input) -> bool {
    input.format().name() == "avi"
}

/// Returns `true` for native FLAC. If two files were concatenated, the header has the duration of the first one only.
pub(crate) fn is_flac(input: &Input) -> bool {
    input.format().name() == "flac"
}

/// Returns `true` if FFmpeg keeps the time base of the first sample rate although packets count samples of a later one.
pub(crate) fn keeps_first_rate(input: &Input) -> bool {
    ["aac", "flac", "ogg"].contains(&input.format().name())
}

/// Returns `true` if a large step forward in the timestamps may be a discontinuity. In other containers it is a frame
/// that is shown for long. FFmpeg does not declare this for FLV, but recordings of RTMP streams contain such steps.
pub(crate) fn allows_forward_discontinuity(input: &Input) -> bool {
    input::has_timestamp_discontinuities(input) || input.format().name() == "flv"
}

/// Returns `true` if packets of VP8 or VP9 carry a second frame each, which is the alpha channel of the first one
/// (`AlphaMode`, RFC 9559 §5.1.4.1.28.4).
pub(crate) fn has_alpha_layer(stream: &Stream<'_>) -> bool {
    stream.metadata().get("alpha_mode") == Some("1")
}

/// Language of a stream as an ISO 639 code. Other strings in the file are not taken over into outputs.
pub(crate) fn language(stream: &Stream<'_>) -> Option<String> {
    let tag = stream.metadata().get("language")?.to_owned();
    ((2..=3).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_lowercase()) && tag != "und").then_some(tag)
}
