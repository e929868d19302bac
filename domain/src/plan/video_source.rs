//! Selection of the video stream, and the filters that normalize it.

use super::SourceVideo;
use crate::code::Code;
use crate::failure::Failure;
use crate::probe::{Probe, Size, Stream, StreamKind, VideoFacts};
use crate::recipe::{Output, Recipe};

/// A video stream of a file.
#[derive(Clone, Copy)]
pub(super) struct VideoStream<'a> {
    pub(super) stream: &'a Stream,
    pub(super) facts: &'a VideoFacts,
}

/// Selects the video stream of the source; `None` if no output needs one.
///
/// # Errors
/// As [`main_stream`].
pub(super) fn select<'a>(recipe: &Recipe, probe: &'a Probe) -> Result<Option<VideoStream<'a>>, Failure> {
    if recipe.outputs.iter().any(Output::uses_video) {
        let missing = "an output needs video; for a source with audio only use the preset audio";
        main_stream(probe, missing).map(Some)
    } else {
        Ok(None)
    }
}

/// Returns the main video stream of a file. `missing` is the detail of the error if there is none.
///
/// # Errors
/// [`Code::NoVideoStream`]; [`Code::CodecUnsupported`] if there are video streams, but none can be decoded.
pub(super) fn main_stream<'a>(probe: &'a Probe, missing: &str) -> Result<VideoStream<'a>, Failure> {
    let unsupported = |detail: String| Failure::new(Code::CodecUnsupported, detail);
    if let Some((stream, facts)) = probe.main_video() {
        if facts.dolby_only {
            let detail = "Dolby Vision without a base layer for other decoders";
            return Err(unsupported(detail.to_owned()));
        }
        return Ok(VideoStream { stream, facts });
    }
    let undecodable = probe
        .streams
        .iter()
        .find(|stream| matches!(stream.kind, StreamKind::Video(_)));
    Err(match undecodable {
        Some(stream) => unsupported(format!("video codec {}", stream.codec)),
        None => Failure::new(Code::NoVideoStream, missing),
    })
}

impl VideoStream<'_> {
    /// Returns the filters that normalize the frames of the stream.
    pub(super) const fn normalized(self) -> SourceVideo {
        let Self { stream, facts } = self;
        SourceVideo {
            stream: stream.index,
            mirrored: facts.mirrored,
            quarter_turns: facts.quarter_turns,
            deinterlace: facts.interlaced,
            tone_map: facts.hdr,
            size: Size {
                width_px: facts.width_px,
                height_px: facts.height_px,
            },
            sample_aspect: Some(facts.sample_aspect),
        }
    }
}
