//! Containers of outputs.

use crate::engine::audio::params::AudioParams;
use domain::plan;
use domain::recipe::AudioFormat;

/// A container that an output may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Mp4,
    Webm,
    M4a,
    Mp3,
    Opus,
    Gif,
}

impl Container {
    /// FFmpeg's name of its muxer.
    pub(crate) const fn muxer(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Webm => "webm",
            Self::M4a => "ipod",
            Self::Mp3 => "mp3",
            Self::Opus => "opus",
            Self::Gif => "gif",
        }
    }

    /// Whether decoders find their headers in the container instead of the packets.
    pub(crate) const fn has_global_headers(self) -> bool {
        !matches!(self, Self::Mp3 | Self::Gif)
    }

    /// The sound it holds for a source's: Opus knows only 48 kHz.
    pub(crate) const fn audio_params(self, source: AudioParams) -> AudioParams {
        match self {
            Self::Webm | Self::Opus => AudioParams {
                rate_hz: 48_000,
                ..source
            },
            Self::Mp4 | Self::M4a | Self::Mp3 | Self::Gif => source,
        }
    }

    /// Whether it can hide what it has before its start, with an edit list.
    pub(crate) const fn hides(self) -> bool {
        matches!(self, Self::Mp4 | Self::M4a)
    }
}

impl From<plan::Container> for Container {
    fn from(container: plan::Container) -> Self {
        match container {
            plan::Container::Mp4 => Self::Mp4,
            plan::Container::Webm => Self::Webm,
        }
    }
}

impl From<AudioFormat> for Container {
    fn from(format: AudioFormat) -> Self {
        match format {
            AudioFormat::M4a => Self::M4a,
            AudioFormat::Mp3 => Self::Mp3,
            AudioFormat::Opus => Self::Opus,
        }
    }
}
