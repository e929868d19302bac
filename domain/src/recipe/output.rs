//! The outputs of a recipe. Encoder settings are in [`super::encoding`].

use super::{AudioEncoding, Fps, Ladder, Name, VideoEncoding};
use crate::time::Rational;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An output: one file or one set of files. Its OpenAPI schema is in `domain/src/recipe/output_schema.rs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Output {
    /// A video in MP4, index first (fast start): H.264, H.265 or AV1 with AAC.
    Mp4(VideoOutput),
    /// A video in WebM: VP9 or AV1 with Opus.
    Webm(VideoOutput),
    /// An adaptive stream (RFC 8216, fragmented MP4): H.264 and AAC.
    Hls(HlsOutput),
    /// Audio only.
    Audio(AudioOutput),
    /// A short animation without audio.
    Gif(GifOutput),
    /// One still image (thumbnail).
    Poster(PosterOutput),
    /// Many small still images in sheets, with an index in WebVTT, for previews on a seek bar.
    Sprite(SpriteOutput),
}

impl Output {
    /// Returns the name that the recipe gives to the output.
    #[must_use]
    pub const fn name(&self) -> Option<&Name> {
        match self {
            Self::Mp4(output) | Self::Webm(output) => output.name.as_ref(),
            Self::Hls(output) => output.name.as_ref(),
            Self::Audio(output) => output.name.as_ref(),
            Self::Gif(output) => output.name.as_ref(),
            Self::Poster(output) => output.name.as_ref(),
            Self::Sprite(output) => output.name.as_ref(),
        }
    }

    /// Returns `true` if the output is a set of files.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        matches!(self, Self::Hls(_) | Self::Sprite(_))
    }

    /// Returns `true` if the output needs a video stream.
    #[must_use]
    pub const fn uses_video(&self) -> bool {
        !matches!(self, Self::Audio(_))
    }

    /// Returns `true` if the output includes the audio of the source, if there is any.
    #[must_use]
    pub const fn uses_audio(&self) -> bool {
        matches!(self, Self::Mp4(_) | Self::Webm(_) | Self::Hls(_) | Self::Audio(_))
    }
}

/// A video file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoOutput {
    /// File name without the extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Video encoder settings.
    #[serde(default)]
    pub video: VideoEncoding,
    /// Audio encoder settings.
    #[serde(default)]
    pub audio: AudioEncoding,
    /// Narrows `frame.max_width_px` for this output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 8192)]
    pub max_width_px: Option<u32>,
    /// Narrows `frame.max_height_px` for this output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 8192)]
    pub max_height_px: Option<u32>,
}

/// An adaptive stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HlsOutput {
    /// Name of the set of files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// The renditions.
    #[serde(default)]
    pub ladder: Ladder,
    /// Video encoder settings; H.264.
    #[serde(default)]
    pub video: VideoEncoding,
    /// Audio encoder settings; AAC. All rungs share the audio.
    #[serde(default)]
    pub audio: AudioEncoding,
    /// Duration of a segment in milliseconds, 1,000 to 10,000. If the largest rung is copied, segments begin with the
    /// first keyframe at or after each multiple of it.
    #[serde(default = "default_segment_ms")]
    #[schema(minimum = 1000, maximum = 10000)]
    pub segment_ms: u64,
    /// Writes the segments of a rung as byte ranges of one file instead of separate files.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub single_file: bool,
}

impl Default for HlsOutput {
    fn default() -> Self {
        Self {
            name: None,
            ladder: Ladder::default(),
            video: VideoEncoding::default(),
            audio: AudioEncoding::default(),
            segment_ms: default_segment_ms(),
            single_file: false,
        }
    }
}

const fn default_segment_ms() -> u64 {
    4_000
}

/// An audio file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AudioOutput {
    /// File name without the extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Container and codec.
    #[serde(default)]
    pub format: AudioFormat,
    /// Bits per second, 32,000 to 512,000. When absent, an audio stream that already fits is copied; others are encoded
    /// at 128,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 32000, maximum = 512_000)]
    pub bitrate_bps: Option<u32>,
}

/// Container and codec of an audio file.
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

/// An animation of a span of the edited video, without the bumpers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GifOutput {
    /// File name without the extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Start in milliseconds of the trimmed video.
    #[serde(default)]
    #[schema(maximum = 3_600_000_000_u64)]
    pub start_ms: u64,
    /// End in milliseconds of the trimmed video, exclusive: at most 60 s after the start, 3 s after it when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_ms: Option<u64>,
    /// Maximum width in pixels, 16 to 1,920.
    #[serde(default = "default_gif_width_px")]
    #[schema(minimum = 16, maximum = 1920)]
    pub width_px: u32,
    /// Frames per second, 1 to 50; `keep` is the rate of the source, at most 50.
    #[serde(default = "default_gif_fps")]
    pub fps: Fps,
}

impl Default for GifOutput {
    fn default() -> Self {
        Self {
            name: None,
            start_ms: 0,
            end_ms: None,
            width_px: default_gif_width_px(),
            fps: default_gif_fps(),
        }
    }
}

const fn default_gif_width_px() -> u32 {
    320
}

const fn default_gif_fps() -> Fps {
    Fps::Fixed(Rational { num: 12, den: 1 })
}

/// One still image of the edited video, without the bumpers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PosterOutput {
    /// File name without the extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Time of the frame in milliseconds of the trimmed video. When absent, a tenth of the duration; after the end, the
    /// last frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 3_600_000_000_u64)]
    pub at_ms: Option<u64>,
    /// File format.
    #[serde(default)]
    pub format: PosterFormat,
    /// Maximum width in pixels, 16 to 8192.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 8192)]
    pub width_px: Option<u32>,
}

/// File format of a poster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PosterFormat {
    /// JPEG.
    #[default]
    Jpeg,
    /// PNG.
    Png,
    /// WebP.
    Webp,
}

/// Small still images of the edited video at regular intervals, without the bumpers: JPEG sheets of 10 by 10 and an
/// index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SpriteOutput {
    /// Name of the set of files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Interval between two stills in milliseconds, 500 to 600,000.
    #[serde(default = "default_sprite_every_ms")]
    #[schema(minimum = 500, maximum = 600_000)]
    pub every_ms: u64,
    /// Maximum width of a still in pixels, 16 to 640.
    #[serde(default = "default_sprite_width_px")]
    #[schema(minimum = 16, maximum = 640)]
    pub width_px: u32,
}

impl Default for SpriteOutput {
    fn default() -> Self {
        Self {
            name: None,
            every_ms: default_sprite_every_ms(),
            width_px: default_sprite_width_px(),
        }
    }
}

const fn default_sprite_every_ms() -> u64 {
    10_000
}

const fn default_sprite_width_px() -> u32 {
    160
}
