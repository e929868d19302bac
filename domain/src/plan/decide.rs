//! The order of the planning steps.

use super::output_planner::OutputPlanner;
use super::outputs::plan_output;
use super::rate::{DEFAULT_FPS, constant_rate};
use super::{Clips, CopyPolicy, Plan, amount, audio_source, bumper, names, spans, video_source, warning};
use crate::failure::Failure;
use crate::limits::Limits;
use crate::probe::Probe;
use crate::recipe::{AudioMode, Fps, Recipe};

/// Target loudness of normalized audio in LUFS, as streaming services use it.
const NORMALIZED_LUFS: i32 = -16;

/// Plans a task.
///
/// The files of the session of the child are the source, then the intro clip, then the outro clip, as far as they
/// exist.
///
/// # Errors
/// [`Input`](crate::FailureClass::Input) if the source or a clip exceeds a limit or lacks a stream that an output
/// needs, if the trim is outside of the source, or if the outputs exceed a limit;
/// [`Unsupported`](crate::FailureClass::Unsupported) if no stream of a required type can be decoded, or a frame is too
/// small for its codec.
pub fn plan(
    recipe: &Recipe,
    probe: &Probe,
    clips: Clips<'_>,
    limits: &Limits,
    copies: CopyPolicy,
) -> Result<Plan, Failure> {
    for source in [Some(probe), clips.intro, clips.outro].into_iter().flatten() {
        limits.check(source)?;
    }
    let mut warnings = Vec::new();
    let video = video_source::select(recipe, probe)?;
    let audio = audio_source::select(recipe, probe, &mut warnings)?;
    let facts = video.map(|video| video.facts);
    let kept = spans::plan_spans(recipe, probe, video, audio, &mut warnings)?;
    let requested_fps = recipe.frame.as_ref().map(|canvas| canvas.fps).unwrap_or_default();
    let fps = match requested_fps {
        Fps::Fixed(rate) => rate,
        Fps::Keep => facts.map_or(DEFAULT_FPS, constant_rate),
    };
    let bumpers = bumper::plan_bumpers(recipe.bumper.as_ref(), clips, fps)?;
    let planner = OutputPlanner {
        recipe,
        probe,
        copies,
        clips,
        video: facts,
        audio,
        span_us: kept.total_us,
        fps,
    };
    let named = recipe.outputs.iter().zip(names::files(&recipe.outputs)).enumerate();
    let outputs = named
        .map(|(index, (output, file))| plan_output(&planner, index, output, file))
        .collect::<Result<Vec<_>, _>>()?;
    // The video of a source of audio files, and the audio of a video without audio, are not used because the recipe
    // says so. The user needs no warning.
    let used = [
        video
            .map(|video| video.stream)
            .or(probe.main_video().map(|(stream, _)| stream)),
        audio
            .map(|audio| audio.stream)
            .or(probe.main_audio().map(|(stream, _)| stream)),
    ];
    warnings.extend(warning::streams_dropped(
        probe,
        &used.map(|stream| stream.map(|stream| stream.index)),
    ));
    warnings.extend(warning::encoding(recipe, facts, &outputs));
    warnings.extend(warning::spatial_lost(facts, &outputs));
    warnings.extend(warning::watermark_outside(recipe, kept.total_us, &outputs));
    let plan = Plan {
        video: video.map(video_source::VideoStream::normalized),
        audio_stream: audio.map(|audio| audio.stream.index),
        spans: kept.spans,
        span_us: kept.total_us,
        // The origin is that of the video; audio files begin with their first sample.
        origin_us: video.and(probe.origin_us),
        jumps: probe.jumps,
        fps,
        fps_asked: requested_fps != Fps::Keep,
        intro: bumpers.intro,
        outro: bumpers.outro,
        loudness_lufs: (recipe.audio.mode == AudioMode::Normalize && audio.is_some()).then_some(NORMALIZED_LUFS),
        outputs,
        warnings,
    };
    amount::check(&plan, probe, limits)?;
    Ok(plan)
}
