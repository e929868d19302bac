//! Planning: what the media child shall do for a recipe and a source, decided without I/O.
//!
//! *Problem.* Each output needs many decisions: the streams to use, sizes and rates, rungs, and above all which streams
//! can be copied instead of encoded. Decisions inside the engine could only be tested with files.
//!
//! *Mechanism.* [`plan`] is a pure function of [`Recipe`](crate::Recipe), [`Probe`](crate::Probe),
//! [`Limits`](crate::Limits) and [`CopyPolicy`]. Its result, a [`Plan`], is complete: the engine executes it and
//! decides nothing. After the execution, [`verify()`] compares the outputs with the plan and with the report of the
//! child, and [`next_copy_policy`] tells if the task must be planned again with fewer copies.
//!
//! | step | file |
//! |---|---|
//! | order of the steps | `decide.rs` |
//! | source streams, spans, frame rate, bumpers | `video_source.rs`, `audio_source.rs`, `spans.rs`, `rate.rs`, `bumper.rs` |
//! | each output | `outputs.rs`, `adaptive.rs`, `stills.rs` on top of `output_planner.rs` |
//! | sizes and rungs | `geometry.rs`, `ladder.rs` |
//! | copy or encode | `copy.rs`, `copy_policy.rs`, `replan.rs` |
//! | limits, cost, warnings | `amount.rs`, `estimate.rs`, `cost_class.rs`, `warning.rs` |
//!
//! *Invariants.* A stream of an output is copied or encoded, never a mixture. Every decision about a stream is a
//! [`Step`] with a reason that users see. The same inputs give the same plan, so that `POST /api/plan` shows what a
//! task will do.

mod adaptive;
mod amount;
mod audio_source;
mod bumper;
mod content;
mod copy;
mod copy_policy;
mod cost_class;
mod decide;
mod estimate;
mod geometry;
mod ladder;
mod language_tag;
mod layout;
mod names;
mod output_planner;
mod outputs;
mod rate;
mod replan;
mod spans;
mod stills;
mod track;
mod verify;
mod video_source;
mod warning;

pub use bumper::{Bumper, Clips};
pub use content::{Container, Content, Hls, Movie, PlannedOutput, Rung, SHEET_SIDE, Step, StreamAction, sheet_rows};
pub use copy_policy::CopyPolicy;
pub use decide::plan;
pub use estimate::{Cost, CostSample, Estimate, Interval, estimate, predict};
pub use layout::{FrameLayout, SourceVideo, Watermark};
pub use rate::leaves_rate_open;
pub use replan::{carry_over_warnings, next_copy_policy};
pub use track::{AudioTrack, VideoEncode, VideoTrack};
pub use verify::verify;
pub use warning::{Warning, WarningCode};

use crate::time::{Rational, Span};
use serde::{Deserialize, Serialize};

/// The work of the media child for one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The video stream of the source; `None` if no output needs one.
    pub video: Option<SourceVideo>,
    /// Index of the audio stream of the source; `None` if no output needs one or there is none.
    pub audio_stream: Option<usize>,
    /// The spans to keep, counted from the beginning of the source and joined in this order; at least one.
    pub spans: Vec<Span>,
    /// Total duration of the spans in microseconds; 0 if the duration of the source is unknown.
    pub span_us: u64,
    /// Timestamp of the source, in microseconds, that is time 0 of the spans, if the probe measured it.
    #[serde(default)]
    pub origin_us: Option<i64>,
    /// Set if the source must be read from its beginning instead of seeking; see [`Probe::jumps`](crate::Probe::jumps).
    #[serde(default)]
    pub jumps: bool,
    /// The constant frame rate of all movies.
    pub fps: Rational,
    /// Set if the recipe requests a frame rate, so that dropped frames are intended.
    #[serde(default)]
    pub fps_asked: bool,
    /// The bumper before each movie.
    pub intro: Option<Bumper>,
    /// The bumper after each movie.
    pub outro: Option<Bumper>,
    /// Target loudness of the audio of the spans in LUFS (EBU R 128), measured over all spans; `None` keeps the
    /// loudness. The audio of bumpers is not normalized.
    pub loudness_lufs: Option<i32>,
    /// The outputs to create.
    pub outputs: Vec<PlannedOutput>,
    /// Warnings that are known before the work.
    pub warnings: Vec<Warning>,
}

impl Plan {
    /// Returns the expected duration of an output in microseconds, including bumpers; 0 for stills.
    #[must_use]
    pub fn duration_us(&self, output: &PlannedOutput) -> u64 {
        match &output.content {
            Content::Movie(Movie { video, .. }) if !video.is_copy() => self.movie_us(),
            Content::Hls(hls) if hls.rungs.iter().any(|rung| !rung.video.is_copy()) => self.movie_us(),
            Content::Movie(_) | Content::Hls(_) | Content::Audio { .. } => self.span_us,
            Content::Gif { start_us, end_us, .. } => end_us.saturating_sub(*start_us),
            Content::Poster { .. } | Content::Sprite { .. } => 0,
        }
    }

    /// Returns `true` if any stream of an output is copied from the source.
    #[must_use]
    pub fn copies(&self) -> bool {
        let mut steps = self.outputs.iter().flat_map(|output| &output.steps);
        steps.any(|step| step.action == StreamAction::Copy)
    }

    /// Returns `true` if the video of an output is copied from the source.
    fn copies_video(&self) -> bool {
        let mut steps = self.outputs.iter().flat_map(|output| &output.steps);
        steps.any(|step| step.action == StreamAction::Copy && step.stream == "video")
    }

    /// Returns `true` if the audio of an output is copied from the source.
    fn copies_audio(&self) -> bool {
        self.outputs.iter().any(|output| match &output.content {
            Content::Movie(movie) => movie.audio.as_ref().is_some_and(AudioTrack::is_copy),
            Content::Hls(hls) => hls.audio.as_ref().is_some_and(AudioTrack::is_copy),
            Content::Audio { audio, .. } => audio.is_copy(),
            Content::Gif { .. } | Content::Poster { .. } | Content::Sprite { .. } => false,
        })
    }

    /// Returns the duration of an encoded movie: a whole number of frames, including bumpers.
    fn movie_us(&self) -> u64 {
        let bumper_frames: u64 = [&self.intro, &self.outro]
            .into_iter()
            .flatten()
            .map(Bumper::frames)
            .sum();
        self.fps
            .duration_us(self.fps.frames_in(self.span_us).max(1) + bumper_frames)
    }
}
