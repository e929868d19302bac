//! How pictures and sound are to be encoded. What is left open is decided by the plan.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a picture is encoded. With neither `crf` nor `speed`, pictures that are right already are not encoded at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoWish {
    /// The codec; that of the container when absent: H.264 in MP4 and HLS, VP9 in WebM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<VideoCodec>,
    /// Constant rate factor of the encoder, lower is better: 0 to 51 for H.264 (23 when absent) and H.265 (28), 0 to 63
    /// for VP9 (32) and AV1 (35).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 63)]
    pub crf: Option<u8>,
    /// Time against size; `balanced` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<Speed>,
}

/// A codec for pictures.
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
    /// FFmpeg's short name of the codec.
    #[must_use]
    pub const fn ffmpeg_name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "hevc",
            Self::Vp9 => "vp9",
            Self::Av1 => "av1",
        }
    }

    /// The constant rate factor when nobody asks for one: about the same quality in each codec.
    #[must_use]
    pub const fn usual_crf(self) -> u8 {
        match self {
            Self::H264 => 23,
            Self::H265 => 28,
            Self::Vp9 => 32,
            Self::Av1 => 35,
        }
    }

    /// The largest constant rate factor of its encoder.
    #[must_use]
    pub const fn max_crf(self) -> u8 {
        match self {
            Self::H264 | Self::H265 => 51,
            Self::Vp9 | Self::Av1 => 63,
        }
    }
}

/// Time against size, the same scale for every encoder.
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

/// How sound is encoded. Without `bitrate_bps`, sound that is right already is not encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AudioWish {
    /// The codec; that of the container when absent: AAC in MP4 and HLS, Opus in WebM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<AudioCodec>,
    /// Bits per second, 32,000 to 512,000; 128,000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 32000, maximum = 512_000)]
    pub bitrate_bps: Option<u32>,
}

/// Bits per second of sound when nobody asks for another rate.
pub const USUAL_AUDIO_BPS: u32 = 128_000;

/// A codec for sound.
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
    /// FFmpeg's short name of the codec.
    #[must_use]
    pub const fn ffmpeg_name(self) -> &'static str {
        match self {
            Self::Aac => "aac",
            Self::Opus => "opus",
            Self::Mp3 => "mp3",
        }
    }
}
