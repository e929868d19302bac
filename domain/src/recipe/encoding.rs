//! Encoder settings of a recipe. The plan chooses what they leave open.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Video encoder settings. Without `crf` and `speed`, a video stream that already fits the output is copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoEncoding {
    /// The codec. When absent, that of the container: H.264 in MP4 and HLS, VP9 in WebM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<VideoCodec>,
    /// Constant rate factor; lower is better: 0 to 51 for H.264 (default 23) and H.265 (28), 0 to 63 for VP9 (32) and
    /// AV1 (35).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 63)]
    pub crf: Option<u8>,
    /// Encoding time against file size; `balanced` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<Speed>,
}

/// A video codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// H.264 / AVC (ITU-T H.264).
    #[default]
    H264,
    /// H.265 / HEVC (ITU-T H.265).
    H265,
    /// VP9.
    Vp9,
    /// AV1.
    Av1,
}

impl VideoCodec {
    /// Returns FFmpeg's short name of the codec.
    #[must_use]
    pub const fn ffmpeg_name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "hevc",
            Self::Vp9 => "vp9",
            Self::Av1 => "av1",
        }
    }

    /// Returns the default constant rate factor. The defaults give about the same quality in each codec.
    #[must_use]
    pub const fn default_crf(self) -> u8 {
        match self {
            Self::H264 => 23,
            Self::H265 => 28,
            Self::Vp9 => 32,
            Self::Av1 => 35,
        }
    }

    /// Returns the largest constant rate factor that the encoder accepts.
    #[must_use]
    pub const fn max_crf(self) -> u8 {
        match self {
            Self::H264 | Self::H265 => 51,
            Self::Vp9 | Self::Av1 => 63,
        }
    }
}

/// Encoding time against file size; the same scale for every encoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
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

/// Audio encoder settings. Without `bitrate_bps`, an audio stream that already fits the output is copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AudioEncoding {
    /// The codec. When absent, that of the container: AAC in MP4 and HLS, Opus in WebM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<AudioCodec>,
    /// Bits per second, 32,000 to 512,000; default 128,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 32000, maximum = 512_000)]
    pub bitrate_bps: Option<u32>,
}

/// Default bit rate of audio in bits per second.
pub const DEFAULT_AUDIO_BPS: u32 = 128_000;

/// An audio codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AudioCodec {
    /// AAC-LC (ISO/IEC 14496-3).
    #[default]
    Aac,
    /// Opus (RFC 6716).
    Opus,
    /// MP3 (ISO/IEC 11172-3).
    Mp3,
}

impl AudioCodec {
    /// Returns FFmpeg's short name of the codec.
    #[must_use]
    pub const fn ffmpeg_name(self) -> &'static str {
        match self {
            Self::Aac => "aac",
            Self::Opus => "opus",
            Self::Mp3 => "mp3",
        }
    }
}
