//! Warnings about a task: properties of the source that the outputs lose, and options that could not be applied.

use super::{Content, PlannedOutput, StreamAction, VideoTrack};
use crate::probe::{Probe, VideoFacts};
use crate::recipe::{Recipe, TrimMode};
use crate::time::Timecode;
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
    /// The watermark is not shown: it would appear at or after the end of the video.
    WatermarkOutside,
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

/// Warns about a watermark that would appear at or after the end of the video. `span_us` is 0 if the duration is
/// unknown.
pub(super) fn watermark_outside(recipe: &Recipe, span_us: u64, outputs: &[PlannedOutput]) -> Option<Warning> {
    let start_ms = recipe.watermark.as_ref()?.start_ms?;
    let shows_frames = outputs.iter().any(|output| output.content.size().is_some());
    let is_outside = span_us > 0 && Timecode::from_ms(start_ms).us() >= span_us;
    (shows_frames && is_outside).then(|| {
        let end = Timecode::from_us(span_us);
        let detail = format!("watermark.start_ms {start_ms}; the video ends at {end}");
        Warning::new(WarningCode::WatermarkOutside, detail)
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::plan::{Clips, CopyPolicy, plan};
    use serde_json::json;

    /// The details of the warnings about a watermark for a source of ten seconds.
    fn watermark_warnings(recipe: &serde_json::Value) -> Vec<String> {
        let probe: Probe = serde_json::from_value(json!({
            "container": "mov,mp4", "bytes": 5_000_000, "duration_us": 10_000_000, "start_us": 0,
            "streams": [
                {"index": 0, "codec": "h264", "decodable": true, "default": true, "language": null, "kind": {"video": {
                    "width_px": 1920, "height_px": 1080, "sample_aspect": "1", "quarter_turns": 0, "mirrored": false,
                    "average_fps": "25", "base_fps": "25", "pixel_format": "yuv420p", "bit_depth": 8, "hdr": false,
                    "interlaced": false, "duration_us": 10_000_000}}},
            ],
        }))
        .unwrap();
        let recipe = Recipe::parse(&recipe.to_string()).unwrap();
        let copies = CopyPolicy::default();
        let planned = plan(&recipe, &probe, Clips::default(), &Limits::default(), copies).unwrap();
        let warnings = planned.warnings.into_iter();
        let of_watermarks = warnings.filter(|warning| warning.code == WarningCode::WatermarkOutside);
        of_watermarks.map(|warning| warning.detail).collect()
    }

    #[test]
    fn a_watermark_that_appears_after_the_end_is_reported() {
        let recipe = |start_ms: u64| json!({"watermark": {"start_ms": start_ms}, "outputs": [{"kind": "mp4"}]});
        assert!(watermark_warnings(&recipe(9_999)).is_empty());
        assert_eq!(
            watermark_warnings(&recipe(10_000)),
            ["watermark.start_ms 10000; the video ends at 00:00:10.000"]
        );
        // The time counts in the trimmed video.
        let mut trimmed = recipe(4_000);
        trimmed["trim"] = json!({"start": 2, "end": 6});
        assert_eq!(
            watermark_warnings(&trimmed),
            ["watermark.start_ms 4000; the video ends at 00:00:04.000"]
        );
    }
}
