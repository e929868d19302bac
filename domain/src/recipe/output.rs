//! The files a recipe asks for.

use super::Name;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One file to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Output {
    /// A video for every player: H.264 and AAC in MP4, index first.
    Mp4(Mp4),
    /// The sound alone.
    Audio(AudioFile),
    /// One still.
    Poster(Poster),
}

impl Output {
    /// The name its user gave it.
    #[must_use]
    pub const fn name(&self) -> Option<&Name> {
        match self {
            Self::Mp4(mp4) => mp4.name.as_ref(),
            Self::Audio(audio) => audio.name.as_ref(),
            Self::Poster(poster) => poster.name.as_ref(),
        }
    }
}

/// An MP4 file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mp4 {
    /// Its file name without the ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// How the picture is encoded.
    #[serde(default)]
    pub video: VideoWish,
    /// How the sound is encoded.
    #[serde(default)]
    pub audio: AudioWish,
    /// Narrows `frame.max_width_px` for this output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 8192)]
    pub max_width_px: Option<u32>,
    /// Narrows `frame.max_height_px` for this output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 8192)]
    pub max_height_px: Option<u32>,
}

/// How a picture is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoWish {
    /// The codec.
    #[serde(default)]
    pub codec: VideoCodec,
    /// Constant rate factor of the encoder: 0 (lossless) to 51, 23 when absent.
    #[serde(default = "crf")]
    #[schema(maximum = 51)]
    pub crf: u8,
    /// Time against size.
    #[serde(default)]
    pub speed: Speed,
}

const fn crf() -> u8 {
    23
}

impl Default for VideoWish {
    fn default() -> Self {
        Self {
            codec: VideoCodec::H264,
            crf: crf(),
            speed: Speed::Balanced,
        }
    }
}

/// A codec for pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// H.264 / AVC (ITU-T H.264).
    #[default]
    H264,
}

/// Time against size, the same scale for every encoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "an ordered scale")]
pub enum Speed {
    Fastest,
    Fast,
    #[default]
    Balanced,
    Good,
    Best,
}

/// How sound is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AudioWish {
    /// The codec.
    #[serde(default)]
    pub codec: AudioCodec,
    /// Bits per second, 32,000 to 512,000.
    #[serde(default = "bitrate")]
    #[schema(minimum = 32000, maximum = 512_000)]
    pub bitrate_bps: u32,
}

const fn bitrate() -> u32 {
    128_000
}

impl Default for AudioWish {
    fn default() -> Self {
        Self {
            codec: AudioCodec::Aac,
            bitrate_bps: bitrate(),
        }
    }
}

/// A codec for sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AudioCodec {
    /// AAC-LC (ISO/IEC 14496-3).
    #[default]
    Aac,
}

/// The sound alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AudioFile {
    /// Its file name without the ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Container and codec.
    #[serde(default)]
    pub format: AudioFormat,
    /// Bits per second, 32,000 to 512,000.
    #[serde(default = "bitrate")]
    #[schema(minimum = 32000, maximum = 512_000)]
    pub bitrate_bps: u32,
}

/// Container and codec of a sound file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AudioFormat {
    /// AAC in MP4.
    #[default]
    M4a,
    /// MP3.
    Mp3,
    /// Opus in Ogg (RFC 7845).
    Opus,
}

/// One still of the edited video, without the bumpers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Poster {
    /// Its file name without the ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// The moment, in milliseconds of the trimmed video; a tenth of its length when absent, the last frame when too late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// File format.
    #[serde(default)]
    pub format: PosterFormat,
    /// Largest width in pixels, 16 to 8192.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 8192)]
    pub width_px: Option<u32>,
}

/// File format of a still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PosterFormat {
    /// JPEG.
    #[default]
    Jpeg,
    /// PNG.
    Png,
}
