//! The files a recipe asks for. How pictures and sound are encoded is in [`super::wish`].

use super::{AudioWish, Fps, Ladder, Name, VideoWish};
use crate::time::Rational;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One file, or one set of files, to make. Its description for the API is in `domain/src/recipe/output_schema.rs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Output {
    /// A video in MP4, index first: H.264, H.265 or AV1 with AAC.
    Mp4(Movie),
    /// A video in WebM: VP9 or AV1 with Opus.
    Webm(Movie),
    /// An adaptive stream (RFC 8216, fragmented MP4): H.264 and AAC.
    Hls(Hls),
    /// The sound alone.
    Audio(AudioFile),
    /// A short silent animation that plays everywhere.
    Gif(Gif),
    /// One still.
    Poster(Poster),
    /// Many small stills in sheets, with an index in WebVTT, for previews on a seek bar.
    Sprite(Sprite),
}

impl Output {
    /// The name its user gave it.
    #[must_use]
    pub const fn name(&self) -> Option<&Name> {
        match self {
            Self::Mp4(movie) | Self::Webm(movie) => movie.name.as_ref(),
            Self::Hls(hls) => hls.name.as_ref(),
            Self::Audio(audio) => audio.name.as_ref(),
            Self::Gif(gif) => gif.name.as_ref(),
            Self::Poster(poster) => poster.name.as_ref(),
            Self::Sprite(sprite) => sprite.name.as_ref(),
        }
    }

    /// Whether it shows pictures.
    #[must_use]
    pub const fn has_pictures(&self) -> bool {
        !matches!(self, Self::Audio(_))
    }

    /// Whether it has the sound of the source, when there is any.
    #[must_use]
    pub const fn has_sound(&self) -> bool {
        matches!(self, Self::Mp4(_) | Self::Webm(_) | Self::Hls(_) | Self::Audio(_))
    }
}

/// A video file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Movie {
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

/// An adaptive stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hls {
    /// The name of its set of files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// The renditions.
    #[serde(default)]
    pub ladder: Ladder,
    /// How the pictures are encoded; H.264.
    #[serde(default)]
    pub video: VideoWish,
    /// How the sound is encoded; AAC, the same for every rung.
    #[serde(default)]
    pub audio: AudioWish,
    /// Length of a segment in milliseconds, 1,000 to 10,000. Where the largest rung is copied, segments begin with the first
    /// keyframe at or after each multiple of it.
    #[serde(default = "four_seconds")]
    #[schema(minimum = 1000, maximum = 10000)]
    pub segment_ms: u64,
    /// Whether the segments of a rung are byte ranges of one file instead of files of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub single_file: bool,
}

impl Default for Hls {
    fn default() -> Self {
        Self {
            name: None,
            ladder: Ladder::default(),
            video: VideoWish::default(),
            audio: AudioWish::default(),
            segment_ms: four_seconds(),
            single_file: false,
        }
    }
}

const fn four_seconds() -> u64 {
    4_000
}

/// The sound alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AudioFile {
    /// Its file name without the ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Container and codec.
    #[serde(default)]
    pub format: AudioFormat,
    /// Bits per second, 32,000 to 512,000; 128,000 when absent, and then sound that is right already is not encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 32000, maximum = 512_000)]
    pub bitrate_bps: Option<u32>,
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

/// An animation of a span of the edited video, without the bumpers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Gif {
    /// Its file name without the ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Its first moment, in milliseconds of the trimmed video.
    #[serde(default)]
    #[schema(maximum = 3_600_000_000_u64)]
    pub start_ms: u64,
    /// The first moment no longer in it, at most 60 s later; 3 s later when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_ms: Option<u64>,
    /// Largest width in pixels, 16 to 1,920.
    #[serde(default = "gif_width")]
    #[schema(minimum = 16, maximum = 1920)]
    pub width_px: u32,
    /// Frames per second, 1 to 50; `keep` takes those of the source, at most 50.
    #[serde(default = "gif_fps")]
    pub fps: Fps,
}

impl Default for Gif {
    fn default() -> Self {
        Self {
            name: None,
            start_ms: 0,
            end_ms: None,
            width_px: gif_width(),
            fps: gif_fps(),
        }
    }
}

const fn gif_width() -> u32 {
    320
}

const fn gif_fps() -> Fps {
    Fps::Fixed(Rational { num: 12, den: 1 })
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
    #[schema(maximum = 3_600_000_000_u64)]
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
    /// WebP.
    Webp,
}

/// Small stills of the edited video at even distances, without the bumpers: JPEG sheets of 10 by 10 and an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sprite {
    /// The name of its set of files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Milliseconds from still to still, 500 to 600,000.
    #[serde(default = "ten_seconds")]
    #[schema(minimum = 500, maximum = 600_000)]
    pub every_ms: u64,
    /// Largest width of a still in pixels, 16 to 640.
    #[serde(default = "sprite_width")]
    #[schema(minimum = 16, maximum = 640)]
    pub width_px: u32,
}

impl Default for Sprite {
    fn default() -> Self {
        Self {
            name: None,
            every_ms: ten_seconds(),
            width_px: sprite_width(),
        }
    }
}

const fn ten_seconds() -> u64 {
    10_000
}

const fn sprite_width() -> u32 {
    160
}
