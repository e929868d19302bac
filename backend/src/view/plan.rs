//! The JSON representation of plans.

use domain::Plan;
use domain::plan::{Content, Estimate, Hls, Movie, PlannedOutput, Step, Warning};
use domain::recipe::{AudioCodec, VideoCodec};
use domain::time::Rational;
use serde::Serialize;
use utoipa::ToSchema;

/// The plan of a task.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanView {
    /// The outputs, in the order of the recipe.
    outputs: Vec<PlannedView>,
    /// Warnings that the report of the task would have.
    warnings: Vec<Warning>,
    /// The estimated cost.
    estimate: Estimate,
}

/// A planned output.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlannedView {
    /// The file name, or the name of a set of files.
    #[schema(example = "video.mp4")]
    name: String,
    /// The `kind` of the recipe.
    #[schema(example = "mp4")]
    kind: &'static str,
    /// The media type; of a set of files, that of its entry file.
    #[schema(example = "video/mp4")]
    media_type: &'static str,
    /// Width in pixels; null for audio. Of an adaptive output, that of the largest rendition; of a sprite, that of one
    /// thumbnail.
    width_px: Option<u32>,
    /// Height in pixels, of the same frame as the width.
    height_px: Option<u32>,
    /// Frames per second; null for stills and audio.
    fps: Option<Rational>,
    /// Duration in milliseconds; null for stills.
    duration_ms: Option<u64>,
    /// The video codec; null without video.
    video_codec: Option<VideoCodec>,
    /// The audio codec; null without audio.
    audio_codec: Option<AudioCodec>,
    /// The streams that are copied or encoded, with the reasons.
    steps: Vec<Step>,
}

impl PlanView {
    pub(crate) fn new(plan: &Plan, estimate: Estimate) -> Self {
        Self {
            outputs: plan
                .outputs
                .iter()
                .map(|output| PlannedView::new(plan, output))
                .collect(),
            warnings: plan.warnings.clone(),
            estimate,
        }
    }
}

impl PlannedView {
    fn new(plan: &Plan, output: &PlannedOutput) -> Self {
        let content = &output.content;
        let (video, audio) = match content {
            Content::Movie(Movie { video, audio, .. }) => (Some(video), audio.as_ref()),
            Content::Hls(Hls { rungs, audio, .. }) => (rungs.first().map(|rung| &rung.video), audio.as_ref()),
            Content::Audio { audio, .. } => (None, Some(audio)),
            Content::Gif { .. } | Content::Poster { .. } | Content::Sprite { .. } => (None, None),
        };
        let fps = match content {
            Content::Movie(_) | Content::Hls(_) => Some(plan.fps),
            Content::Gif { fps, .. } => Some(*fps),
            Content::Audio { .. } | Content::Poster { .. } | Content::Sprite { .. } => None,
        };
        let size = content.size();
        let is_still = matches!(content, Content::Poster { .. } | Content::Sprite { .. });
        Self {
            name: output.file.clone(),
            kind: content.kind(),
            media_type: content.media_type(),
            width_px: size.map(|size| size.width_px),
            height_px: size.map(|size| size.height_px),
            fps,
            duration_ms: (!is_still).then(|| plan.duration_us(output).saturating_add(500) / 1_000),
            video_codec: video.map(domain::plan::VideoTrack::codec),
            audio_codec: audio.map(domain::plan::AudioTrack::codec),
            steps: output.steps.clone(),
        }
    }
}
