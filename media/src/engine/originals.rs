//! What outputs that copy are told of the source.

use super::av::packets;
use super::transcode::out_of_step;
use super::{facts, input};
use domain::Failure;
use ffmpeg_next::Rational;
use ffmpeg_next::format::context::Input;

/// What packets carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    Pictures,
    Sound,
}

/// A stream of the source as its container has it.
pub(super) struct Original {
    pub(super) parameters: packets::Fixed,
    pub(super) base: Rational,
    /// ISO 639 tag, when the container has one.
    pub(super) language: Option<String>,
    /// Whether its packets carry alpha beside their pictures.
    pub(super) alpha: bool,
}

impl Original {
    /// A stream of a source.
    pub(super) fn of(input: &Input, index: usize) -> Option<Self> {
        let stream = input.stream(index)?;
        Some(Self {
            parameters: packets::Fixed::of(&stream.parameters()),
            base: stream.time_base(),
            language: facts::language(&stream),
            alpha: input::has_alpha_layer(&stream),
        })
    }
}

/// What a copy takes from its source.
pub(super) struct Originals {
    pub(super) pictures: Option<Original>,
    pub(super) sound: Option<Original>,
    /// The first moment of the source, and start and end of the span, on the source's clock in microseconds.
    pub(super) origin_us: i64,
    pub(super) start_us: i64,
    pub(super) end_us: Option<i64>,
}

impl Originals {
    /// The stream of pictures.
    pub(super) fn pictures(&self) -> Result<&Original, Failure> {
        self.pictures.as_ref().ok_or_else(|| out_of_step("copied pictures"))
    }

    /// The stream of sound.
    pub(super) fn sound(&self) -> Result<&Original, Failure> {
        self.sound.as_ref().ok_or_else(|| out_of_step("copied sound"))
    }

    /// The span, for a file that can hide what it has before its start, or not.
    pub(super) const fn cut(&self, hides: bool) -> Cut {
        Cut {
            start_us: self.start_us,
            end_us: self.end_us,
            hides,
        }
    }

    /// How long after the first moment of the source a moment is, in microseconds; `None` unless a trim was copied.
    pub(super) fn after_origin_us(&self, us: i64) -> Option<u64> {
        let trimmed = self.start_us > self.origin_us || self.end_us.is_some();
        trimmed.then(|| u64::try_from(us.saturating_sub(self.origin_us)).unwrap_or(0))
    }
}

/// The span that is copied, on the source's clock in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) start_us: i64,
    pub(super) end_us: Option<i64>,
    /// Whether the file can hide what it has before its start.
    pub(super) hides: bool,
}

impl Cut {
    /// How long the span is, when it has an end.
    pub(super) fn length_us(&self) -> Option<u64> {
        let length_us = self.end_us?.saturating_sub(self.start_us);
        u64::try_from(length_us).ok()
    }
}
