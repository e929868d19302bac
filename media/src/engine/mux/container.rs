//! Containers of outputs: FFmpeg's muxer names and the properties that encoders depend on.

use crate::engine::audio::params::AudioParams;
use domain::plan;
use domain::recipe::AudioFormat;

/// A container that an output can have.
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
    /// Returns the short name of FFmpeg's muxer.
    pub(crate) const fn muxer_name(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Webm => "webm",
            Self::M4a => "ipod",
            Self::Mp3 => "mp3",
            Self::Opus => "opus",
            Self::Gif => "gif",
        }
    }

    /// Returns `true` if the codec headers (extradata) are stored in the container instead of the packets
    /// (`AVFMT_GLOBALHEADER`).
    pub(crate) const fn has_global_headers(self) -> bool {
        !matches!(self, Self::Mp3 | Self::Gif)
    }

    /// Returns the audio parameters of an output of audio with the parameters `source`. Opus is encoded at 48 kHz, the
    /// rate of its decoders (RFC 6716).
    pub(crate) const fn audio_params(self, source: AudioParams) -> AudioParams {
        match self {
            Self::Webm | Self::Opus => AudioParams {
                rate_hz: 48_000,
                ..source
            },
            Self::Mp4 | Self::M4a | Self::Mp3 | Self::Gif => source,
        }
    }

    /// Returns `true` if an edit list can hide packets before the start of the presentation.
    pub(crate) const fn has_edit_list(self) -> bool {
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
