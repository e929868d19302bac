//! The tracks of an output: the video and audio streams, each copied or encoded.

use super::FrameLayout;
use crate::probe::Size;
use crate::recipe::{AudioCodec, Speed, VideoCodec};
use serde::{Deserialize, Serialize};

/// The video track of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VideoTrack {
    /// The packets of the source are copied.
    Copy {
        /// The codec.
        codec: VideoCodec,
        /// The size of the frames.
        size: Size,
    },
    /// The frames are decoded, composed and encoded.
    Encode(Box<VideoEncode>),
}

/// Settings for composing and encoding a video track. The pixel format is always 8-bit 4:2:0 in limited range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoEncode {
    /// Layout of the frames of the source.
    #[serde(rename = "picture")]
    pub layout: FrameLayout,
    /// Layout of the frames of an intro clip, on the same canvas.
    pub intro: Option<FrameLayout>,
    /// Layout of the frames of an outro clip, on the same canvas.
    pub outro: Option<FrameLayout>,
    /// The codec.
    pub codec: VideoCodec,
    /// Constant rate factor.
    pub crf: u8,
    /// Encoding time against file size.
    pub speed: Speed,
    /// Maximum GOP length in frames.
    pub gop_frames: u32,
    /// Ends GOPs only at `gop_frames`, or where a segment of a copied rung ends, never at a scene cut. The segments of
    /// all rungs then begin at the same frames.
    pub fixed_gops: bool,
    /// Maximum bit rate in bits per second, over a buffer of two seconds; `None` is unlimited.
    pub max_bitrate_bps: Option<u64>,
}

/// The audio track of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioTrack {
    /// The packets of the source are copied.
    Copy {
        /// The codec.
        codec: AudioCodec,
    },
    /// The audio is decoded, downmixed to at most two channels, and encoded.
    Encode {
        /// The codec.
        codec: AudioCodec,
        /// Bits per second.
        bitrate_bps: u32,
    },
}

impl VideoTrack {
    /// Returns `true` if the track is copied.
    #[must_use]
    pub const fn is_copy(&self) -> bool {
        matches!(self, Self::Copy { .. })
    }

    /// Returns the codec.
    #[must_use]
    pub const fn codec(&self) -> VideoCodec {
        match self {
            Self::Copy { codec, .. } => *codec,
            Self::Encode(encode) => encode.codec,
        }
    }

    /// Returns the size of the frames.
    #[must_use]
    pub const fn size(&self) -> Size {
        match self {
            Self::Copy { size, .. } => *size,
            Self::Encode(encode) => encode.layout.canvas,
        }
    }
}

impl AudioTrack {
    /// Returns the codec.
    #[must_use]
    pub const fn codec(&self) -> AudioCodec {
        match self {
            Self::Copy { codec } | Self::Encode { codec, .. } => *codec,
        }
    }

    /// Returns `true` if the track is copied.
    #[must_use]
    pub const fn is_copy(&self) -> bool {
        matches!(self, Self::Copy { .. })
    }
}
