//! How much a plan makes in all, against the bounds of the installation: a small file can ask for days of work.

use super::{Content, Hls, Movie, Plan, VideoTrack, predict};
use crate::code::Code;
use crate::failure::Failure;
use crate::limits::Limits;
use crate::probe::{Probe, Size};

/// What all outputs of a plan come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    /// Length in microseconds.
    duration_us: u64,
    /// Frames that are encoded; those of each rung count.
    frames: u64,
    /// Pixels of these frames.
    pixels: u64,
}

impl Amount {
    fn frames(&mut self, size: Size, frames: u64) {
        let each = u64::from(size.width_px) * u64::from(size.height_px);
        self.frames = self.frames.saturating_add(frames);
        self.pixels = self.pixels.saturating_add(each.saturating_mul(frames));
    }

    fn track(&mut self, video: &VideoTrack, frames: u64) {
        if let VideoTrack::Encode(order) = video {
            self.frames(order.picture.canvas, frames);
        }
    }

    fn of(plan: &Plan) -> Self {
        let mut amount = Self::default();
        for output in &plan.outputs {
            let duration_us = plan.duration_us(output);
            let frames = plan.fps.frames_in(duration_us);
            amount.duration_us = amount.duration_us.saturating_add(duration_us);
            match &output.content {
                Content::Movie(Movie { video, .. }) => amount.track(video, frames),
                Content::Hls(Hls { rungs, .. }) => rungs.iter().for_each(|rung| amount.track(&rung.video, frames)),
                Content::Gif { picture, fps, .. } => amount.frames(picture.canvas, fps.frames_in(duration_us)),
                Content::Poster { picture, .. } => amount.frames(picture.canvas, 1),
                Content::Sprite { picture, count, .. } => amount.frames(picture.canvas, *count),
                Content::Audio { .. } => {}
            }
        }
        amount
    }
}

/// # Errors
/// [`Code::TaskTooLarge`] with the first figure that is over its bound, and the bound.
pub(super) fn check(plan: &Plan, probe: &Probe, limits: &Limits) -> Result<(), Failure> {
    let amount = Amount::of(plan);
    let (_, cost) = predict(plan, probe, 1);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate is positive; `as` saturates"
    )]
    let cpu_s = cost.cpu_s.ceil() as u64;
    let second = 1_000_000;
    for (what, value, most) in [
        (
            "seconds of outputs",
            amount.duration_us.div_ceil(second),
            limits.max_output_duration_us / second,
        ),
        ("frames to encode", amount.frames, limits.max_output_frames),
        (
            "megapixels to encode",
            amount.pixels.div_ceil(1_000_000),
            limits.max_output_megapixels,
        ),
        ("processor seconds, estimated", cpu_s, limits.max_cpu_s),
    ] {
        if value > most {
            let detail = format!("{value} {what}; accepted: at most {most}");
            return Err(Failure::input(Code::TaskTooLarge, detail));
        }
    }
    Ok(())
}
