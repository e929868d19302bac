//! The planned outputs and their contents.

use super::{AudioTrack, FrameLayout, VideoTrack};
use crate::probe::Size;
use crate::recipe::{AudioFormat, PosterFormat};
use crate::time::Rational;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An output: one file or one set of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedOutput {
    /// File name, or name of the directory of a set; never a path.
    pub file: String,
    /// The content.
    pub content: Content,
    /// The decisions and their reasons, for users.
    pub steps: Vec<Step>,
}

/// A decision about a stream of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// The stream: `video`, `audio` or `image`.
    pub stream: String,
    /// The decision.
    #[serde(rename = "done")]
    pub action: StreamAction,
    /// The reason, in English.
    pub reason: String,
}

/// The decision about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamAction {
    /// The packets of the source are copied into a new container.
    Copy,
    /// The stream is decoded and encoded.
    Transcode,
}

/// The content of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A video file.
    Movie(Movie),
    /// An adaptive stream: `master.m3u8` and the files that it refers to.
    Hls(Hls),
    /// An audio file.
    Audio {
        /// Container and codec.
        format: AudioFormat,
        /// The audio track.
        audio: AudioTrack,
    },
    /// An animation, without audio and bumpers.
    Gif {
        /// Layout of the frames.
        #[serde(rename = "picture")]
        layout: FrameLayout,
        /// Frames per second.
        fps: Rational,
        /// Start in microseconds of the trimmed video.
        start_us: u64,
        /// End in microseconds of the trimmed video, exclusive.
        end_us: u64,
    },
    /// One still image.
    Poster {
        /// Layout of the frame.
        #[serde(rename = "picture")]
        layout: FrameLayout,
        /// Time of the frame in microseconds of the trimmed video.
        at_us: u64,
        /// File format.
        format: PosterFormat,
    },
    /// Still images in JPEG sheets of [`SHEET_SIDE`] columns and [`sheet_rows`] rows, `sheet-1.jpg` and on, with the
    /// index `sprite.vtt`.
    Sprite {
        /// Layout of a still.
        #[serde(rename = "picture")]
        layout: FrameLayout,
        /// Interval between two stills in microseconds; the first one is at 0.
        every_us: u64,
        /// Number of stills.
        count: u64,
    },
}

/// Number of columns of a sheet, and maximum number of rows.
pub const SHEET_SIDE: u32 = 10;

/// Maximum height of a sheet. Larger images are not decoded by every player; the limit of JPEG is 65,535 lines.
const MAX_SHEET_HEIGHT_PX: u32 = 8_192;

/// Returns the maximum number of rows of a sheet: [`SHEET_SIDE`], or fewer if the stills are very high.
#[must_use]
pub const fn sheet_rows(still: Size) -> u32 {
    let height_px = if still.height_px == 0 { 1 } else { still.height_px };
    match MAX_SHEET_HEIGHT_PX / height_px {
        0 => 1,
        rows if rows > SHEET_SIDE => SHEET_SIDE,
        rows => rows,
    }
}

/// A video file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movie {
    /// The container.
    pub container: Container,
    /// The video track.
    pub video: VideoTrack,
    /// The audio track, if there is audio.
    pub audio: Option<AudioTrack>,
}

/// The container of a video file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Container {
    Mp4,
    Webm,
}

/// An adaptive stream (RFC 8216) of fragmented MP4 with one audio rendition for all rungs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hls {
    /// The rungs, largest first; at least one. Only the first one may be a copy. Its segments then begin with the first
    /// keyframe at or after each multiple of `segment_us`, and those of the other rungs at the same frames.
    pub rungs: Vec<Rung>,
    /// The audio rendition, if there is audio.
    pub audio: Option<AudioTrack>,
    /// Language of the audio as in playlists (RFC 5646), if the source has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Duration of a segment in microseconds; up to twice that if a rung is copied.
    pub segment_us: u64,
    /// Writes the segments of a rendition as byte ranges of one file.
    pub single_file: bool,
}

/// A rendition of an adaptive stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// The shorter side of the frames in pixels. Files are named after it, such as `720p`.
    pub short_side_px: u32,
    /// The video track.
    pub video: VideoTrack,
}

impl Content {
    /// Returns the `kind` of the output in recipes.
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

    /// Returns the entry file of a set, which refers to all others; `None` for a single file.
    #[must_use]
    pub const fn entry(&self) -> Option<&'static str> {
        match self {
            Self::Hls(_) => Some("master.m3u8"),
            Self::Sprite { .. } => Some("sprite.vtt"),
            Self::Movie(_) | Self::Audio { .. } | Self::Gif { .. } | Self::Poster { .. } => None,
        }
    }

    /// Returns the media type; of a set, that of the entry file.
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

    /// Returns the frame size; of an adaptive stream, that of the largest rung. `None` for audio.
    #[must_use]
    pub fn size(&self) -> Option<Size> {
        match self {
            Self::Movie(movie) => Some(movie.video.size()),
            Self::Hls(hls) => hls.rungs.first().map(|rung| rung.video.size()),
            Self::Audio { .. } => None,
            Self::Gif { layout, .. } | Self::Poster { layout, .. } | Self::Sprite { layout, .. } => Some(layout.canvas),
        }
    }
}
