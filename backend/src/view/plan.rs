//! Plans as clients see them.

use api::plan::{PlanView, PlannedView};
use domain::Plan;
use domain::plan::{Content, Estimate, Hls, Movie, PlannedOutput};

/// A plan with its estimated cost.
pub(crate) fn plan_view(plan: &Plan, estimate: Estimate) -> PlanView {
    PlanView {
        outputs: plan.outputs.iter().map(|output| planned_view(plan, output)).collect(),
        warnings: plan.warnings.clone(),
        estimate,
    }
}

fn planned_view(plan: &Plan, output: &PlannedOutput) -> PlannedView {
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
    PlannedView {
        name: output.file.clone(),
        kind: content.kind().to_owned(),
        media_type: content.media_type().to_owned(),
        width_px: size.map(|size| size.width_px),
        height_px: size.map(|size| size.height_px),
        fps,
        duration_ms: (!is_still).then(|| plan.duration_us(output).saturating_add(500) / 1_000),
        video_codec: video.map(domain::plan::VideoTrack::codec),
        audio_codec: audio.map(domain::plan::AudioTrack::codec),
        steps: output.steps.clone(),
    }
}
