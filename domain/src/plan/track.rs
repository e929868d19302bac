//! What becomes of the pictures and the sound of an output: copied or encoded, and what stands around them.

use super::{Picture, SourceVideo};
use crate::probe::Size;
use crate::recipe::{AudioCodec, Name, Speed, VideoCodec};
use serde::{Deserialize, Serialize};

/// What becomes of the pictures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VideoTrack {
    /// Their packets are copied.
    Copy {
        /// Their codec.
        codec: VideoCodec,
        /// Their size.
        size: Size,
    },
    /// They are decoded and encoded.
    Encode(Box<VideoOrder>),
}

/// Orders for an encoder of pictures. All of them make 4:2:0, 8 bits, limited range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoOrder {
    /// The picture.
    pub picture: Picture,
    /// The picture of the clip that is the intro, on the same canvas.
    pub intro: Option<Picture>,
    /// The picture of the clip that is the outro, on the same canvas.
    pub outro: Option<Picture>,
    /// The codec.
    pub codec: VideoCodec,
    /// Constant rate factor.
    pub crf: u8,
    /// Time against size.
    pub speed: Speed,
    /// Most frames between keyframes.
    pub gop_frames: u32,
    /// Whether no group ends earlier, but where the segment of a rung that is copied does, so that segments of several
    /// rungs begin together.
    pub fixed_gops: bool,
    /// Most bits per second over two seconds; `None` sets no bound.
    pub max_bitrate_bps: Option<u64>,
}

/// What becomes of the sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioTrack {
    /// Its packets are copied.
    Copy {
        /// Their codec.
        codec: AudioCodec,
    },
    /// It is decoded and encoded, in stereo at most.
    Encode {
        /// The codec.
        codec: AudioCodec,
        /// Bits per second.
        bitrate_bps: u32,
    },
}

/// What a movie shows before or after the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Card {
    /// An image in the middle of a black canvas, scaled down to fit, never up; silent.
    Still {
        /// The image.
        image: Name,
        /// How many frames.
        frames: u64,
    },
    /// A whole clip with its sound.
    Clip {
        /// Its place among the files of the session; the source is 0.
        file: usize,
        /// Its picture stream.
        video: SourceVideo,
        /// Its sound stream, when it has one.
        audio_stream: Option<usize>,
        /// How many frames, as far as its probe can tell.
        frames: u64,
    },
}

impl Card {
    /// How many frames it is shown.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        match self {
            Self::Still { frames, .. } | Self::Clip { frames, .. } => *frames,
        }
    }
}

impl VideoTrack {
    /// Whether nothing is encoded.
    #[must_use]
    pub const fn is_copy(&self) -> bool {
        matches!(self, Self::Copy { .. })
    }

    /// Its codec.
    #[must_use]
    pub const fn codec(&self) -> VideoCodec {
        match self {
            Self::Copy { codec, .. } => *codec,
            Self::Encode(order) => order.codec,
        }
    }

    /// The size of its picture.
    #[must_use]
    pub const fn size(&self) -> Size {
        match self {
            Self::Copy { size, .. } => *size,
            Self::Encode(order) => order.picture.canvas,
        }
    }
}

impl AudioTrack {
    /// Its codec.
    #[must_use]
    pub const fn codec(&self) -> AudioCodec {
        match self {
            Self::Copy { codec } | Self::Encode { codec, .. } => *codec,
        }
    }

    /// Whether nothing is encoded.
    #[must_use]
    pub const fn is_copy(&self) -> bool {
        matches!(self, Self::Copy { .. })
    }
}
