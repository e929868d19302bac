//! Warnings about a task: properties of the source that the outputs lose, and options that could not be applied.

use super::{Content, PlannedOutput, StreamAction, VideoTrack};
use crate::probe::{Probe, VideoFacts};
use crate::recipe::{Recipe, TrimMode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Maximum number of streams that a warning names; the others are counted.
const MAX_NAMED_STREAMS: usize = 10;

/// A warning for the user. It does not stop the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// The stable code.
    #[schema(example = "streams_dropped")]
    pub code: WarningCode,
    /// The values behind it.
    pub detail: String,
}

/// The stable code of a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// No output uses these streams of the source.
    StreamsDropped,
    /// The source has audio that cannot be decoded.
    AudioUndecodable,
    /// 10-bit, 4:2:2, full-range or HDR video was converted to 8-bit 4:2:0 in limited range.
    PictureConverted,
    /// Transparent areas of the source became black.
    AlphaFlattened,
    /// The outputs lack the metadata of spherical (360°) or stereoscopic (3D) video.
    SpatialLost,
    /// The requested end of the trim is after the end of the source.
    TrimShortened,
    /// Audio is missing: it is too far from its video in the file to wait for it, its timestamps overlap earlier audio,
    /// or the source has a gap in its audio. The detail has duration and time.
    SoundShortened,
    /// Frames of the source were dropped for a constant frame rate. The detail has number and time.
    FramesDropped,
    /// No audio stream has the requested language; the default one was used.
    LanguageMissing,
    /// A fast trim was not possible because the video is encoded; the trim is exact.
    TrimExact,
    /// The codec headers of copied packets change within the stream; a second run encodes the stream instead.
    HeadersChange,
    /// The source is truncated or damaged or has a gap. The detail has the lost milliseconds.
    SourceDamaged,
    /// The kernel does not support all restrictions of the sandbox.
    SandboxPartial,
}

impl Warning {
    /// Creates a warning.
    pub fn new(code: WarningCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

/// Warns about the streams that no output uses. `used` lists the indexes of the used ones.
pub(super) fn streams_dropped(probe: &Probe, used: &[Option<usize>]) -> Option<Warning> {
    let unused = probe
        .streams
        .iter()
        .filter(|stream| !used.contains(&Some(stream.index)));
    let mut names: Vec<_> = unused
        .map(|stream| {
            let language = stream.language.as_ref().map_or(String::new(), |tag| format!(", {tag}"));
            format!("{} #{} ({}{language})", stream.kind.word(), stream.index, stream.codec)
        })
        .collect();
    let more = names.len().saturating_sub(MAX_NAMED_STREAMS);
    // "and 1 more" would be as long as the name itself.
    if more > 1 {
        names.truncate(MAX_NAMED_STREAMS);
        names.push(format!("and {more} more"));
    }
    (!names.is_empty()).then(|| Warning::new(WarningCode::StreamsDropped, names.join(", ")))
}

/// Warns about the consequences of encoding the video: converted pixel formats, and a fast trim that becomes exact.
pub(super) fn encoding(recipe: &Recipe, facts: Option<&VideoFacts>, outputs: &[PlannedOutput]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let encoded: Vec<_> = outputs.iter().filter(|output| encodes_video(output)).collect();
    let Some(facts) = facts.filter(|_| !encoded.is_empty()) else {
        return warnings;
    };
    if facts.hdr || facts.full_range || facts.pixel_format != "yuv420p" {
        let hdr = if facts.hdr { "HDR " } else { "" };
        let detail = format!("{hdr}{} to yuv420p", facts.pixel_format);
        warnings.push(Warning::new(WarningCode::PictureConverted, detail));
    }
    let movie = encoded.iter().find(|output| is_movie(output));
    if let Some(trim) = &recipe.trim
        && trim.mode == TrimMode::Fast
        && let Some(step) =
            movie.and_then(|movie| movie.steps.iter().find(|step| step.action == StreamAction::Transcode))
    {
        warnings.push(Warning::new(WarningCode::TrimExact, step.reason.clone()));
    }
    warnings
}

/// Warns about spherical or stereoscopic video: the muxers write no metadata for it.
pub(super) fn spatial_lost(facts: Option<&VideoFacts>, outputs: &[PlannedOutput]) -> Option<Warning> {
    let layout = facts?.spatial.as_deref()?;
    outputs
        .iter()
        .any(is_movie)
        .then(|| Warning::new(WarningCode::SpatialLost, layout))
}

const fn is_movie(output: &PlannedOutput) -> bool {
    matches!(output.content, Content::Movie(_) | Content::Hls(_))
}

fn encodes_video(output: &PlannedOutput) -> bool {
    match &output.content {
        Content::Movie(movie) => !movie.video.is_copy(),
        Content::Hls(hls) => hls.rungs.iter().any(|rung| matches!(rung.video, VideoTrack::Encode(_))),
        Content::Audio { .. } => false,
        Content::Gif { .. } | Content::Poster { .. } | Content::Sprite { .. } => true,
    }
}
