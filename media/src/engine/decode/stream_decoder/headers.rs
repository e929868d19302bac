//! Headers of a stream: codec parameters for its decoder, and the time between its frames.

use crate::engine::demux::container::{is_avi, keeps_first_rate};
use crate::engine::ffi::parameters::{self, CodecFacts};
use crate::engine::time::{DEFAULT_FRAME_INTERVAL_US, to_us};
use ffmpeg_next::codec::Parameters;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Stream;

/// Codec parameters for the decoder of a stream. Concatenated FLAC may have larger blocks than its first header states.
pub(super) fn decoder_parameters(input: &Input, stream: &Stream<'_>, facts: &CodecFacts) -> Parameters {
    let mut parameters = stream.parameters().clone();
    if keeps_first_rate(input) && facts.name == "flac" {
        parameters::allow_any_flac_block(&mut parameters);
    }
    parameters
}

/// Average time between two frames of a stream by its headers, in microseconds.
pub(super) fn frame_interval_us(input: &Input, stream: &Stream<'_>) -> i64 {
    let rates = [stream.avg_frame_rate(), stream.rate()];
    let mut plausible = rates.iter().filter(|rate| (1.0..=240.0).contains(&f64::from(**rate)));
    // Slots of an AVI may be empty, so the lower rate is the frame rate.
    let plausible = if is_avi(input) {
        plausible.min_by(|a, b| f64::from(**a).total_cmp(&f64::from(**b)))
    } else {
        plausible.next()
    };
    plausible.map_or(DEFAULT_FRAME_INTERVAL_US, |rate| to_us(1, rate.invert()))
}
