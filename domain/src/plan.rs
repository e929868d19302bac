//! What will be done: a wish and facts turned into orders that the child obeys without thinking.

mod decide;
mod geometry;
mod rate;
mod verify;

pub use decide::plan;
pub use verify::verify;

use crate::probe::Size;
use crate::recipe::{AudioFormat, Name, Position, PosterFormat, Speed};
use crate::time::{Rational, Span};
use serde::{Deserialize, Serialize};

/// Orders for the child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The picture stream and how it is made plain; `None` when no output needs one.
    pub video: Option<SourceVideo>,
    /// Place of the sound stream; `None` when no output needs one or there is none.
    pub audio_stream: Option<usize>,
    /// What is kept, counted from the first moment of the source.
    pub span: Span,
    /// How long that is, in microseconds, as far as the probe can tell.
    pub span_us: u64,
    /// The files to make.
    pub outputs: Vec<PlannedOutput>,
    /// What the user should know already now.
    pub warnings: Vec<Warning>,
}

/// The picture stream, and what makes it plain: upright, progressive, standard range, square pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceVideo {
    /// Its place in the file.
    pub stream: usize,
    /// Whether it is mirrored left to right first.
    pub mirrored: bool,
    /// Quarter turns clockwise, 0 to 3, after the mirror.
    pub quarter_turns: u8,
    /// Whether fields are woven into frames (bwdif).
    pub deinterlace: bool,
    /// Whether PQ or HLG is brought down to BT.709.
    pub tone_map: bool,
}

/// One file to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedOutput {
    /// Its file name: a name of ours with an ending, never a path.
    pub file: String,
    /// What goes in.
    pub content: Content,
}

/// What goes into a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Moving pictures, with sound when the plan has an audio stream.
    Mp4 {
        /// The picture.
        picture: Picture,
        /// Frames per second, constant.
        fps: Rational,
        /// Stills before and after.
        bumper: Option<BumperPlan>,
        /// The encoder of the picture.
        video: H264,
        /// Bits per second of AAC, when there is sound.
        audio_bitrate_bps: Option<u32>,
    },
    /// Sound alone.
    Audio {
        /// Container and codec.
        format: AudioFormat,
        /// Bits per second.
        bitrate_bps: u32,
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
}

/// How a plain picture becomes the canvas: scale, then cut or pad around the middle, then the overlay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// The picture is scaled to this.
    pub scaled: Size,
    /// The size of the file; where it is smaller the picture is cut, where it is larger it is padded with black.
    pub canvas: Size,
    /// An image over the canvas.
    pub overlay: Option<Overlay>,
}

/// An image over the canvas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// The image.
    pub image: Name,
    /// Its width in pixels; its height follows.
    pub width_px: u32,
    /// Where it stands.
    pub position: Position,
    /// Distance from the edges in pixels.
    pub margin_px: u32,
    /// Opacity in hundredths.
    pub opacity_percent: u32,
    /// When it is seen, counted from the start of the span.
    pub span: Span,
}

/// Stills before and after the video.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BumperPlan {
    /// The image in the middle of a black canvas, scaled down to fit, never up.
    pub image: Name,
    /// Frames before.
    pub intro_frames: u64,
    /// Frames after.
    pub outro_frames: u64,
}

/// Orders for the H.264 encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct H264 {
    /// Constant rate factor, 0 to 51.
    pub crf: u8,
    /// Time against size.
    pub speed: Speed,
    /// Most frames between keyframes.
    pub gop_frames: u32,
}

/// Something that the user should know and that stops nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// A stable word.
    pub code: WarningCode,
    /// The value behind it.
    pub detail: String,
}

/// The stable word of a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// Streams that no output uses.
    StreamsDropped,
    /// There is sound, but no decoder for it.
    AudioUndecodable,
    /// 10-bit, 4:2:2, full range or HDR became 8-bit 4:2:0 limited range.
    PictureConverted,
    /// The trim ended after the source.
    TrimShortened,
    /// The source broke off or was damaged; the detail tells the milliseconds lost.
    SourceDamaged,
    /// The kernel could not lock the child in completely.
    SandboxPartial,
}

impl Warning {
    /// A warning with the value behind it.
    pub fn new(code: WarningCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

impl Plan {
    /// Expected length of an output in microseconds, bumpers included; 0 for a still.
    #[must_use]
    pub fn duration_us(&self, output: &PlannedOutput) -> u64 {
        match &output.content {
            Content::Mp4 { fps, bumper, .. } => {
                let around = bumper.as_ref().map_or(0, |b| b.intro_frames + b.outro_frames);
                fps.duration_us(fps.frames_in(self.span_us).max(1) + around)
            }
            Content::Audio { .. } => self.span_us,
            Content::Poster { .. } => 0,
        }
    }
}

impl Content {
    /// The word for the `kind` of an output.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Mp4 { .. } => "mp4",
            Self::Audio { .. } => "audio",
            Self::Poster { .. } => "poster",
        }
    }

    /// The media type for HTTP.
    #[must_use]
    pub const fn media_type(&self) -> &'static str {
        match self {
            Self::Mp4 { .. } => "video/mp4",
            Self::Audio {
                format: AudioFormat::M4a,
                ..
            } => "audio/mp4",
            Self::Audio {
                format: AudioFormat::Mp3,
                ..
            } => "audio/mpeg",
            Self::Audio {
                format: AudioFormat::Opus,
                ..
            } => "audio/ogg",
            Self::Poster {
                format: PosterFormat::Jpeg,
                ..
            } => "image/jpeg",
            Self::Poster {
                format: PosterFormat::Png,
                ..
            } => "image/png",
        }
    }
}
