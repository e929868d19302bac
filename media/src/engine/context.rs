//! Values that the stages of a transcode share: the task as a whole, and what the thread of one output needs.

use crate::engine::audio::limiter::Gain;
use crate::engine::audio::params::AudioParams;
use crate::engine::cancel::Cancel;
use crate::engine::demux::copy_source::CopySource;
use crate::engine::error::plan_mismatch;
use crate::engine::ffi::frame::ColorNumbers;
use crate::engine::progress::OutputProgress;
use crate::engine::stage::Stages;
use crate::engine::video::still_images::Images;
use domain::plan::SourceVideo;
use domain::probe::Size;
use domain::{Failure, Plan};
use std::fs::File;
use std::path::Path;

/// What is to be done, and with what.
pub(crate) struct TranscodeContext<'a> {
    /// The source, then the clips of intro and outro.
    pub(crate) sources: &'a [File],
    pub(crate) images: &'a Images,
    pub(crate) plan: &'a Plan,
    pub(crate) scratch: &'a Path,
    /// 0 leaves the number to FFmpeg.
    pub(crate) threads: u32,
    pub(crate) cancel: &'a Cancel,
}

/// What the thread of one output needs to know.
pub(crate) struct OutputContext<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) images: &'a Images,
    pub(crate) scratch: &'a Path,
    pub(crate) threads: u32,
    pub(crate) progress: &'a OutputProgress,
    pub(crate) stages: &'a Stages,
    /// How loud the sound of the spans is made.
    pub(crate) gain: Option<Gain>,
    pub(crate) copy_source: CopySource,
    pub(crate) facts: SourceFacts,
    pub(crate) cancel: &'a Cancel,
    pub(crate) halt: &'a Cancel,
}

/// Facts of the source that outputs are opened with.
#[derive(Clone, Copy)]
pub(crate) struct SourceFacts {
    pub(crate) video: Option<(Size, ColorNumbers)>,
    /// About how many bytes a decoded picture takes.
    pub(crate) frame_bytes: u64,
    pub(crate) audio: Option<AudioParams>,
}

impl OutputContext<'_> {
    /// Goes on unless somebody wants the work to end.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.cancel.check()?;
        self.halt.check()
    }

    /// How the pictures are made plain, their coded size and their color.
    pub(crate) fn video(&self) -> Result<(SourceVideo, Size, ColorNumbers), Failure> {
        let found = self.plan.video.zip(self.facts.video);
        let (source, (size, color)) = found.ok_or_else(|| plan_mismatch("pictures"))?;
        Ok((source, size, color))
    }

    /// The language of the sound, when the source tells.
    pub(crate) fn language(&self) -> Option<&str> {
        self.copy_source.audio.as_ref()?.language.as_deref()
    }

    /// The sound of the outputs, when the source has any.
    pub(crate) const fn audio(&self) -> Option<AudioParams> {
        self.facts.audio
    }
}
