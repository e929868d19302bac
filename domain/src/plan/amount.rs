//! Limits of the total work of a task. Without them, a small file and a small recipe can cause days of work: ranges
//! repeat the source, and frame rate, size and number of outputs multiply it.

use super::{Content, Hls, Movie, Plan, VideoTrack, predict};
use crate::code::Code;
use crate::failure::Failure;
use crate::limits::Limits;
use crate::probe::{Probe, Size};

/// The totals of all outputs of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    /// Duration in microseconds.
    duration_us: u64,
    /// Number of encoded frames, counted per rung.
    frames: u64,
    /// Number of pixels of these frames.
    pixels: u64,
}

impl Amount {
    fn add_frames(&mut self, size: Size, frames: u64) {
        let pixels = u64::from(size.width_px) * u64::from(size.height_px);
        self.frames = self.frames.saturating_add(frames);
        self.pixels = self.pixels.saturating_add(pixels.saturating_mul(frames));
    }

    fn add_track(&mut self, video: &VideoTrack, frames: u64) {
        if let VideoTrack::Encode(encode) = video {
            self.add_frames(encode.layout.canvas, frames);
        }
    }

    fn of(plan: &Plan) -> Self {
        let mut amount = Self::default();
        for output in &plan.outputs {
            let duration_us = plan.duration_us(output);
            let frames = plan.fps.frames_in(duration_us);
            amount.duration_us = amount.duration_us.saturating_add(duration_us);
            match &output.content {
                Content::Movie(Movie { video, .. }) => amount.add_track(video, frames),
                Content::Hls(Hls { rungs, .. }) => rungs.iter().for_each(|rung| amount.add_track(&rung.video, frames)),
                Content::Gif { layout, fps, .. } => amount.add_frames(layout.canvas, fps.frames_in(duration_us)),
                Content::Poster { layout, .. } => amount.add_frames(layout.canvas, 1),
                Content::Sprite { layout, count, .. } => amount.add_frames(layout.canvas, *count),
                Content::Audio { .. } => {}
            }
        }
        amount
    }
}

/// Checks the totals and the estimated CPU time of a plan.
///
/// # Errors
/// [`Code::TaskTooLarge`] with the first value that exceeds its limit.
pub(super) fn check(plan: &Plan, probe: &Probe, limits: &Limits) -> Result<(), Failure> {
    let amount = Amount::of(plan);
    let (_, cost) = predict(plan, probe, 1);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate is positive; `as` saturates"
    )]
    let cpu_s = cost.cpu_s.ceil() as u64;
    let second_us = 1_000_000;
    for (name, value, max) in [
        (
            "seconds of outputs",
            amount.duration_us.div_ceil(second_us),
            limits.max_output_duration_us / second_us,
        ),
        ("frames to encode", amount.frames, limits.max_output_frames),
        (
            "megapixels to encode",
            amount.pixels.div_ceil(1_000_000),
            limits.max_output_megapixels,
        ),
        ("processor seconds, estimated", cpu_s, limits.max_cpu_s),
    ] {
        if value > max {
            let detail = format!("{value} {name}; accepted: at most {max}");
            return Err(Failure::new(Code::TaskTooLarge, detail));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::code::Code;
    use crate::failure::Failure;
    use crate::limits::Limits;
    use crate::plan::{Clips, CopyPolicy, plan};
    use crate::preset;
    use crate::probe::Probe;
    use crate::recipe::Recipe;
    use serde_json::json;

    const MINUTE_US: u64 = 60 * 1_000_000;

    /// The probe of an MP4 with H.264 and AAC.
    fn mp4(size: (u32, u32), fps: u32, duration_us: u64) -> Probe {
        let stream = |index: u32, codec: &str, kind: serde_json::Value| json!({ "index": index, "codec": codec, "decodable": true, "default": true, "language": null, "kind": kind });
        let video = json!({ "video": {
            "width_px": size.0, "height_px": size.1, "sample_aspect": "1/1", "quarter_turns": 0, "mirrored": false,
            "average_fps": format!("{fps}/1"), "base_fps": format!("{fps}/1"), "pixel_format": "yuv420p", "bit_depth": 8,
            "hdr": false, "interlaced": false, "duration_us": duration_us
        } });
        let audio = json!({ "audio": { "sample_rate_hz": 48_000, "channels": 2, "duration_us": duration_us } });
        serde_json::from_value(json!({
            "container": "mov,mp4,m4a,3gp,3g2,mj2", "bytes": duration_us, "duration_us": duration_us, "start_us": 0,
            "streams": [stream(0, "h264", video), stream(1, "aac", audio)]
        }))
        .unwrap()
    }

    fn check_plan(recipe: &Recipe, source: &Probe) -> Result<(), Failure> {
        plan(
            recipe,
            source,
            Clips::default(),
            &Limits::default(),
            CopyPolicy::default(),
        )
        .map(drop)
    }

    /// A recipe that repeats the whole source 50 times, at 240 frames per second.
    fn repeated_50_times(output: &str) -> Recipe {
        let ranges = vec![json!({ "start": 0 }); 50];
        let recipe =
            json!({ "trim": { "ranges": ranges }, "frame": { "fps": "240" }, "outputs": [{ "kind": output }] });
        Recipe::parse(&recipe.to_string()).unwrap()
    }

    #[test]
    fn a_task_that_takes_days_is_rejected_by_the_default_limits() {
        let (small, large) = ((640, 360), (1_920, 1_080));
        for (size, minutes, output, detail) in [
            (large, 60, "mp4", "180000 seconds of outputs; accepted: at most 86400"),
            (small, 60, "mp4", "180000 seconds of outputs; accepted: at most 86400"),
            (
                large,
                10,
                "mp4",
                "14929920 megapixels to encode; accepted: at most 10000000",
            ),
            (
                large,
                20,
                "mp4",
                "14400000 frames to encode; accepted: at most 10000000",
            ),
            (small, 20, "hls", "frames to encode; accepted: at most 10000000"),
            (large, 6, "webm", "processor seconds"),
        ] {
            let source = mp4(size, 30, minutes * MINUTE_US);
            let failure = check_plan(&repeated_50_times(output), &source).expect_err(detail);
            assert_eq!(failure.code, Code::TaskTooLarge);
            assert!(
                failure.detail.contains(detail),
                "{size:?}, {minutes} min, {output}: {failure}"
            );
        }
    }

    #[test]
    fn a_video_of_four_hours_is_accepted_with_each_preset() {
        for fps in [24, 30, 60] {
            let source = mp4((1_920, 1_080), fps, 4 * 60 * MINUTE_US);
            for preset in preset::built_in() {
                let checked = check_plan(&preset.recipe, &source);
                assert_eq!(checked, Ok(()), "{}, {fps} frames per second", preset.name);
            }
        }
    }
}
