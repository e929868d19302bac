//! The geometry of frames: normalization of the source, scaling, canvas and watermark.

use crate::probe::Size;
use crate::recipe::{Name, Position};
use crate::time::{Rational, Span};
use serde::{Deserialize, Serialize};

/// A video stream and the filters that normalize it: upright, progressive, standard dynamic range, square pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceVideo {
    /// Index of the stream in its file.
    pub stream: usize,
    /// Mirrors frames left to right, before the rotation.
    pub mirrored: bool,
    /// Clockwise quarter turns, 0 to 3.
    pub quarter_turns: u8,
    /// Deinterlaces with `bwdif`.
    pub deinterlace: bool,
    /// Maps PQ or HLG to BT.709.
    pub tone_map: bool,
    /// Coded size of the header; 0 if unknown. Frames with another aspect ratio are padded.
    #[serde(default)]
    pub size: Size,
    /// Sample aspect ratio for which the scaling is planned. Frames with another one are padded.
    #[serde(default)]
    pub sample_aspect: Option<Rational>,
}

/// Placement of a normalized frame on the canvas: scaled, then cropped or padded around the center, then watermarked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameLayout {
    /// Size of the scaled frame.
    pub scaled: Size,
    /// Size of the output. A scaled frame that is larger is cropped; one that is smaller is padded with black.
    pub canvas: Size,
    /// The watermark.
    #[serde(rename = "overlay")]
    pub watermark: Option<Watermark>,
}

/// A watermark on the canvas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// The image.
    pub image: Name,
    /// Width in pixels; the height keeps the aspect ratio of the image.
    pub width_px: u32,
    /// Position on the canvas.
    pub position: Position,
    /// Distance from the edges in pixels.
    pub margin_px: u32,
    /// Opacity in percent.
    pub opacity_percent: u32,
    /// Time during which it is visible, counted from the start of the trimmed video.
    pub span: Span,
}
