//! How long files and their streams are by their headers.

use super::{Kind, Source, is_avi, to_us};
use crate::engine::av;
use ffmpeg_next::format::context::Input;

/// How long the pictures of an AVI are by their number: where a file breaks off, FFmpeg cuts every length of its header
/// down to what is there.
pub(super) fn counted_us(input: &Input) -> Option<i64> {
    input
        .streams()
        .filter_map(|stream| promised_us(input, &stream))
        .max()
        .filter(|_| is_avi(input))
}

/// Where the last of the streams ends by their headers, when all of them say.
pub(super) fn streams_end_us(input: &Input) -> Option<i64> {
    let ends = input.streams().map(|stream| {
        let start = av::known(stream.start_time())?;
        let length = av::known(stream.duration())?;
        Some(to_us(start.saturating_add(length), stream.time_base()))
    });
    ends.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// How long a stream is by its header, in microseconds, when it says.
pub(in crate::engine) fn promised_us(input: &Input, stream: &Source<'_>) -> Option<i64> {
    let told = av::known(stream.duration()).map(|length| to_us(length, stream.time_base()));
    let is_counted = is_avi(input) && av::codec_facts(&stream.parameters()).kind == Kind::Video;
    let rate = Some(stream.avg_frame_rate()).filter(|rate| is_counted && rate.numerator() > 0);
    let counted = rate.map(|rate| to_us(stream.frames(), rate.invert()));
    told.max(counted).filter(|us| *us > 0)
}
