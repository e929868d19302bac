//! Bumpers: still images or clips before and after each movie.

use super::SourceVideo;
use super::video_source::main_stream;
use crate::failure::Failure;
use crate::probe::Probe;
use crate::recipe::{BumperEdit, Name};
use crate::time::Rational;
use serde::{Deserialize, Serialize};

/// The probes of the clips that a recipe uses as bumpers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clips<'a> {
    /// Probe of the source of `bumper.intro_task`.
    pub intro: Option<&'a Probe>,
    /// Probe of the source of `bumper.outro_task`.
    pub outro: Option<&'a Probe>,
}

/// A bumper before or after a movie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bumper {
    /// An image in the center of a black canvas, scaled down to fit, never up; without audio.
    Still {
        /// The image.
        image: Name,
        /// Duration in frames.
        frames: u64,
    },
    /// A whole clip with its audio.
    Clip {
        /// Index of the file in the session; the source is 0.
        file: usize,
        /// The video stream.
        video: SourceVideo,
        /// Index of the audio stream, if there is one.
        audio_stream: Option<usize>,
        /// Expected duration in frames, from the probe of the clip.
        frames: u64,
    },
}

impl Bumper {
    /// Returns the duration in frames.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        match self {
            Self::Still { frames, .. } | Self::Clip { frames, .. } => *frames,
        }
    }
}

/// The bumpers of a plan.
#[derive(Default)]
pub(super) struct Bumpers {
    pub(super) intro: Option<Bumper>,
    pub(super) outro: Option<Bumper>,
}

/// Plans the bumpers. The files of the session are the source, then the intro clip, then the outro clip, as far as they
/// exist.
///
/// # Errors
/// As [`main_stream`] for a clip.
pub(super) fn plan_bumpers(edit: Option<&BumperEdit>, clips: Clips<'_>, fps: Rational) -> Result<Bumpers, Failure> {
    let Some(edit) = edit else {
        return Ok(Bumpers::default());
    };
    let intro = match clips.intro {
        Some(probe) => Some(clip(probe, 1, fps)?),
        None => still(&edit.image, edit.intro_ms, fps),
    };
    let outro = match clips.outro {
        Some(probe) => Some(clip(probe, 1 + usize::from(clips.intro.is_some()), fps)?),
        None => still(&edit.image, edit.outro_ms, fps),
    };
    Ok(Bumpers { intro, outro })
}

fn still(image: &Name, duration_ms: u64, fps: Rational) -> Option<Bumper> {
    let frames = fps.frames_in(duration_ms * 1_000);
    (frames > 0).then(|| Bumper::Still {
        image: image.clone(),
        frames,
    })
}

fn clip(probe: &Probe, file: usize, fps: Rational) -> Result<Bumper, Failure> {
    let video = main_stream(probe, "the clip of a bumper has no video")?;
    Ok(Bumper::Clip {
        file,
        video: video.normalized(),
        audio_stream: probe.main_audio().map(|(stream, _)| stream.index),
        frames: fps.frames_in(probe.duration_us).max(1),
    })
}
