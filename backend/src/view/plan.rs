//! Plans as clients see them.

use domain::Plan;
use domain::plan::{Content, Estimate, Hls, Movie, PlannedOutput, Step, Warning};
use domain::recipe::{AudioCodec, VideoCodec};
use domain::time::Rational;
use serde::Serialize;
use utoipa::ToSchema;

/// What would be done.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanView {
    /// The outputs, in the order of the recipe.
    outputs: Vec<PlannedView>,
    /// What the user should know already now.
    warnings: Vec<Warning>,
    /// What it will cost.
    estimate: Estimate,
}

/// An output that would be made.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlannedView {
    /// Its file name, or the name of its set.
    #[schema(example = "video.mp4")]
    name: String,
    /// The `kind` of the recipe.
    #[schema(example = "mp4")]
    kind: &'static str,
    /// That of the entry when the output is a set of files.
    #[schema(example = "video/mp4")]
    media_type: &'static str,
    /// Null for sound; that of the largest rendition, of one still of a sprite.
    width_px: Option<u32>,
    /// As the width.
    height_px: Option<u32>,
    /// Frames per second; null for stills and sound.
    fps: Option<Rational>,
    /// Null for stills.
    duration_ms: Option<u64>,
    /// The codec of its pictures; null where it has none.
    video_codec: Option<VideoCodec>,
    /// The codec of its sound; null where it has none.
    audio_codec: Option<AudioCodec>,
    /// What is copied, what is encoded, and why.
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
        let still = matches!(content, Content::Poster { .. } | Content::Sprite { .. });
        Self {
            name: output.file.clone(),
            kind: content.kind(),
            media_type: content.media_type(),
            width_px: size.map(|size| size.width_px),
            height_px: size.map(|size| size.height_px),
            fps,
            duration_ms: (!still).then(|| plan.duration_us(output).saturating_add(500) / 1_000),
            video_codec: video.map(domain::plan::VideoTrack::codec),
            audio_codec: audio.map(domain::plan::AudioTrack::codec),
            steps: output.steps.clone(),
        }
    }
}
