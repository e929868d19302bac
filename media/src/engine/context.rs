//! Values that the stages of a transcode share: [`TranscodeContext`] for the whole, [`OutputContext`] for one output.

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

/// Inputs and limits of a transcode.
pub(crate) struct TranscodeContext<'a> {
    /// The source, then the clips of intro and outro; [`domain::Plan`] refers to them by index.
    pub(crate) sources: &'a [File],
    pub(crate) images: &'a Images,
    pub(crate) plan: &'a Plan,
    pub(crate) scratch: &'a Path,
    /// Threads per codec and filter graph; 0 leaves the number to FFmpeg.
    pub(crate) threads: u32,
    pub(crate) cancel: &'a Cancel,
}

/// Values for the thread of one output.
pub(crate) struct OutputContext<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) images: &'a Images,
    pub(crate) scratch: &'a Path,
    pub(crate) threads: u32,
    pub(crate) progress: &'a OutputProgress,
    pub(crate) stages: &'a Stages,
    /// Gain of the audio of the spans; `None` leaves it as it is. Audio of bumpers is never changed.
    pub(crate) gain: Option<Gain>,
    pub(crate) copy_source: CopySource,
    pub(crate) facts: SourceFacts,
    /// Set by the caller of the transcode.
    pub(crate) cancel: &'a Cancel,
    /// Set when the reader or another output has failed.
    pub(crate) halt: &'a Cancel,
}

/// Facts of the decoded streams that outputs are opened with.
#[derive(Clone, Copy)]
pub(crate) struct SourceFacts {
    /// Coded size and color.
    pub(crate) video: Option<(Size, ColorNumbers)>,
    /// Approximate size of a decoded frame; 0 without video.
    pub(crate) frame_bytes: u64,
    /// Sample rate and channels of the outputs' audio.
    pub(crate) audio: Option<AudioParams>,
}

impl OutputContext<'_> {
    /// Checks both flags.
    ///
    /// # Errors
    /// [`domain::Code::Unavailable`] when one of them is set.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.cancel.check()?;
        self.halt.check()
    }

    /// The video of the source as planned, its coded size and its color.
    ///
    /// # Errors
    /// When the plan has an output with video, but its source has none.
    pub(crate) fn video(&self) -> Result<(SourceVideo, Size, ColorNumbers), Failure> {
        let found = self.plan.video.zip(self.facts.video);
        let (source, (size, color)) = found.ok_or_else(|| plan_mismatch("video"))?;
        Ok((source, size, color))
    }

    /// The language of the audio stream, when the source states it.
    pub(crate) fn language(&self) -> Option<&str> {
        self.copy_source.audio.as_ref()?.language.as_deref()
    }

    /// Sample rate and channels of the outputs' audio; `None` when the plan has no audio.
    pub(crate) const fn audio(&self) -> Option<AudioParams> {
        self.facts.audio
    }
}
