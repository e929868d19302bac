//! What goes into each file, as the child is told.

use super::{AudioTrack, Picture, VideoTrack};
use crate::probe::Size;
use crate::recipe::{AudioFormat, PosterFormat};
use crate::time::Rational;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One file, or one set of files, to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedOutput {
    /// Its file name, or the directory of a set: a name of ours, never a path.
    pub file: String,
    /// What goes in.
    pub content: Content,
    /// What is done for it and why, for people.
    pub steps: Vec<Step>,
}

/// One decision about an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// What it is about: `video`, `audio` or `image`.
    pub stream: String,
    /// What is done.
    pub done: Done,
    /// Why, in English.
    pub reason: String,
}

/// What is done with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// The packets of the source go into a new container.
    Copy,
    /// Decoded and encoded.
    Transcode,
}

/// What goes into a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Moving pictures, with sound when there is any.
    Movie(Movie),
    /// The same as an adaptive stream: `master.m3u8` and what it names.
    Hls(Hls),
    /// Sound alone.
    Audio {
        /// Container and codec.
        format: AudioFormat,
        /// What becomes of the sound.
        audio: AudioTrack,
    },
    /// A silent animation without intro and outro.
    Gif {
        /// The picture.
        picture: Picture,
        /// Frames per second.
        fps: Rational,
        /// Its first moment, in microseconds after the start of the span.
        start_us: u64,
        /// The first moment no longer in it.
        end_us: u64,
    },
    /// One still.
    Poster {
        /// The picture.
        picture: Picture,
        /// Its moment, in microseconds after the start of the span.
        at_us: u64,
        /// File format.
        format: PosterFormat,
    },
    /// Stills in JPEG sheets of [`SHEET_SIDE`] by [`sheet_rows`], `sheet-1.jpg` and on, with `sprite.vtt`.
    Sprite {
        /// The picture of one still.
        picture: Picture,
        /// Microseconds from still to still; the first is at 0.
        every_us: u64,
        /// How many.
        count: u64,
    },
}

/// Stills along each side of a sheet.
pub const SHEET_SIDE: u32 = 10;

/// What pictures may be high, sheets too, so that every player decodes them; a JPEG cannot have more than 65,535 lines.
const SHEET_HEIGHT_PX: u32 = 8_192;

/// How many rows of stills a sheet has at most: fewer of stills that are very high.
#[must_use]
pub const fn sheet_rows(still: Size) -> u32 {
    let height_px = if still.height_px == 0 { 1 } else { still.height_px };
    match SHEET_HEIGHT_PX / height_px {
        0 => 1,
        rows if rows > SHEET_SIDE => SHEET_SIDE,
        rows => rows,
    }
}

/// A video file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movie {
    /// Its container.
    pub container: Container,
    /// What becomes of the pictures.
    pub video: VideoTrack,
    /// What becomes of the sound, when there is any.
    pub audio: Option<AudioTrack>,
}

/// The container of a movie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Container {
    Mp4,
    Webm,
}

/// An adaptive stream (RFC 8216) of fragmented MP4 with one group of sound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hls {
    /// The renditions, largest first; at least one. Only the first may be copied: its segments then begin at the first
    /// keyframe at or after each multiple of their length, and those of the others begin with them.
    pub rungs: Vec<Rung>,
    /// What becomes of the sound, when there is any.
    pub audio: Option<AudioTrack>,
    /// Language of the sound as playlists name it (RFC 5646), when the source tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Length of a segment in microseconds; of copied pictures, up to twice that.
    pub segment_us: u64,
    /// Whether the segments of a rendition are byte ranges of one file.
    pub single_file: bool,
}

/// One rendition of an adaptive stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// The shorter side of its picture in pixels; its files are named after it, such as `720p`.
    pub short_side_px: u32,
    /// What becomes of the pictures.
    pub video: VideoTrack,
}

impl Content {
    /// The word for the `kind` of an output.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Movie(Movie {
                container: Container::Mp4,
                ..
            }) => "mp4",
            Self::Movie(Movie {
                container: Container::Webm,
                ..
            }) => "webm",
            Self::Hls(_) => "hls",
            Self::Audio { .. } => "audio",
            Self::Gif { .. } => "gif",
            Self::Poster { .. } => "poster",
            Self::Sprite { .. } => "sprite",
        }
    }

    /// The file of a set that names all others; `None` when the output is a single file.
    #[must_use]
    pub const fn entry(&self) -> Option<&'static str> {
        match self {
            Self::Hls(_) => Some("master.m3u8"),
            Self::Sprite { .. } => Some("sprite.vtt"),
            Self::Movie(_) | Self::Audio { .. } | Self::Gif { .. } | Self::Poster { .. } => None,
        }
    }

    /// The media type for HTTP; that of the entry when the output is a set.
    #[must_use]
    pub const fn media_type(&self) -> &'static str {
        match self {
            Self::Movie(Movie {
                container: Container::Mp4,
                ..
            }) => "video/mp4",
            Self::Movie(Movie {
                container: Container::Webm,
                ..
            }) => "video/webm",
            Self::Hls(_) => "application/vnd.apple.mpegurl",
            Self::Audio { format, .. } => match format {
                AudioFormat::M4a => "audio/mp4",
                AudioFormat::Mp3 => "audio/mpeg",
                AudioFormat::Opus => "audio/ogg",
            },
            Self::Gif { .. } => "image/gif",
            Self::Poster { format, .. } => match format {
                PosterFormat::Jpeg => "image/jpeg",
                PosterFormat::Png => "image/png",
                PosterFormat::Webp => "image/webp",
            },
            Self::Sprite { .. } => "text/vtt",
        }
    }

    /// The size of its (largest) picture; `None` for sound.
    #[must_use]
    pub fn size(&self) -> Option<Size> {
        match self {
            Self::Movie(movie) => Some(movie.video.size()),
            Self::Hls(hls) => hls.rungs.first().map(|rung| rung.video.size()),
            Self::Audio { .. } => None,
            Self::Gif { picture, .. } | Self::Poster { picture, .. } | Self::Sprite { picture, .. } => {
                Some(picture.canvas)
            }
        }
    }
}
