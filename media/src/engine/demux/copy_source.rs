//! Streams of a source for outputs that copy packets: codec parameters, time base, and the time range to copy.

use crate::engine::demux::container;
use crate::engine::error::plan_mismatch;
use crate::engine::ffi::packet::SharedParameters;
use domain::Failure;
use ffmpeg_next::Rational;
use ffmpeg_next::format::context::Input;

/// Video or audio: the kind of track that a packet belongs to. Other streams are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrackKind {
    Video,
    Audio,
}

/// Container properties of a stream that is copied.
pub(crate) struct CopyStream {
    pub(crate) parameters: SharedParameters,
    pub(crate) base: Rational,
    /// ISO 639 code, if the container has one.
    pub(crate) language: Option<String>,
    /// `true` if the packets carry an alpha layer ([`container::has_alpha_layer`]).
    pub(crate) alpha: bool,
}

impl CopyStream {
    /// Reads the properties of a stream of a source.
    pub(crate) fn of(input: &Input, index: usize) -> Option<Self> {
        let stream = input.stream(index)?;
        Some(Self {
            parameters: SharedParameters::of(&stream.parameters()),
            base: stream.time_base(),
            language: container::language(&stream),
            alpha: container::has_alpha_layer(&stream),
        })
    }
}

/// Streams and time range that outputs copy. Times are timestamps of the source in microseconds.
pub(crate) struct CopySource {
    pub(crate) video: Option<CopyStream>,
    pub(crate) audio: Option<CopyStream>,
    /// Start of the source.
    pub(crate) origin_us: i64,
    /// Start of the range.
    pub(crate) start_us: i64,
    /// End of the range; `None` for the end of the source.
    pub(crate) end_us: Option<i64>,
}

impl CopySource {
    /// The video stream.
    ///
    /// # Errors
    /// The source has none, which a plan never asks for.
    pub(crate) fn video(&self) -> Result<&CopyStream, Failure> {
        self.video.as_ref().ok_or_else(|| plan_mismatch("copied video"))
    }

    /// The audio stream.
    ///
    /// # Errors
    /// The source has none, which a plan never asks for.
    pub(crate) fn audio(&self) -> Result<&CopyStream, Failure> {
        self.audio.as_ref().ok_or_else(|| plan_mismatch("copied audio"))
    }

    /// The time range to copy. `has_edit_list`: see [`CopySpan`].
    pub(crate) const fn span(&self, has_edit_list: bool) -> CopySpan {
        CopySpan {
            start_us: self.start_us,
            end_us: self.end_us,
            has_edit_list,
        }
    }

    /// Converts a timestamp to microseconds after the start of the source; `None` if the source is copied as a whole.
    pub(crate) fn after_origin_us(&self, us: i64) -> Option<u64> {
        let trimmed = self.start_us > self.origin_us || self.end_us.is_some();
        trimmed.then(|| u64::try_from(us.saturating_sub(self.origin_us)).unwrap_or(0))
    }
}

/// The time range that is copied, in timestamps of the source in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CopySpan {
    pub(crate) start_us: i64,
    pub(crate) end_us: Option<i64>,
    /// `true` if the output container can hide the packets from the keyframe to `start_us`, as an MP4 edit list does.
    pub(crate) has_edit_list: bool,
}

impl CopySpan {
    /// Duration in microseconds; `None` if the range is open.
    pub(crate) fn length_us(&self) -> Option<u64> {
        let length_us = self.end_us?.saturating_sub(self.start_us);
        u64::try_from(length_us).ok()
    }
}
