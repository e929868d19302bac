//! Streams of a source for outputs that copy packets: codec parameters, time base, and the span to copy.

use crate::engine::demux::container;
use crate::engine::error::plan_mismatch;
use crate::engine::ffi::packet::SharedParameters;
use domain::Failure;
use ffmpeg_next::Rational;
use ffmpeg_next::format::context::Input;

/// What packets carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Medium {
    Video,
    Audio,
}

/// A stream of the source as its container has it.
pub(crate) struct CopyStream {
    pub(crate) parameters: SharedParameters,
    pub(crate) base: Rational,
    /// ISO 639 tag, when the container has one.
    pub(crate) language: Option<String>,
    /// Whether its packets carry alpha beside their pictures.
    pub(crate) alpha: bool,
}

impl CopyStream {
    /// A stream of a source.
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

/// What a copy takes from its source.
pub(crate) struct CopySource {
    pub(crate) video: Option<CopyStream>,
    pub(crate) audio: Option<CopyStream>,
    /// The first moment of the source, and start and end of the span, on the source's clock in microseconds.
    pub(crate) origin_us: i64,
    pub(crate) start_us: i64,
    pub(crate) end_us: Option<i64>,
}

impl CopySource {
    /// The stream of pictures.
    pub(crate) fn video(&self) -> Result<&CopyStream, Failure> {
        self.video.as_ref().ok_or_else(|| plan_mismatch("copied pictures"))
    }

    /// The stream of sound.
    pub(crate) fn audio(&self) -> Result<&CopyStream, Failure> {
        self.audio.as_ref().ok_or_else(|| plan_mismatch("copied sound"))
    }

    /// The span, for a file that can hide what it has before its start, or not.
    pub(crate) const fn cut(&self, hides: bool) -> CopySpan {
        CopySpan {
            start_us: self.start_us,
            end_us: self.end_us,
            hides,
        }
    }

    /// How long after the first moment of the source a moment is, in microseconds; `None` unless a trim was copied.
    pub(crate) fn after_origin_us(&self, us: i64) -> Option<u64> {
        let trimmed = self.start_us > self.origin_us || self.end_us.is_some();
        trimmed.then(|| u64::try_from(us.saturating_sub(self.origin_us)).unwrap_or(0))
    }
}

/// The span that is copied, on the source's clock in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CopySpan {
    pub(crate) start_us: i64,
    pub(crate) end_us: Option<i64>,
    /// Whether the file can hide what it has before its start.
    pub(crate) hides: bool,
}

impl CopySpan {
    /// How long the span is, when it has an end.
    pub(crate) fn length_us(&self) -> Option<u64> {
        let length_us = self.end_us?.saturating_sub(self.start_us);
        u64::try_from(length_us).ok()
    }
}
