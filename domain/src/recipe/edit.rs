//! Edits that apply to every output of a recipe: trim, canvas, bumpers, watermark, audio.

use super::{Aspect, Fps, Name, Opacity};
use crate::task::TaskId;
use crate::time::Timecode;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// The parts of the source to keep: one span (`start`, `end`) or several `ranges`, joined in their order. An end after
/// the end of the source is the end of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Trim {
    /// Start of the span; the beginning of the source when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timecode>,
    /// End of the span, exclusive; the end of the source when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timecode>,
    /// Instead of `start` and `end`: 1 to 50 spans, joined in this order. Spans may overlap and repeat.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "at_least_one")]
    #[schema(min_items = 1, max_items = 50)]
    pub ranges: Vec<TrimRange>,
    /// Precision of the cuts.
    #[serde(default)]
    pub mode: TrimMode,
}

/// One span to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Range)]
pub struct TrimRange {
    /// Start of the span; the beginning of the source when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timecode>,
    /// End of the span, exclusive; the end of the source when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timecode>,
}

/// Rejects an empty list: it could mean the whole source, or nothing of it.
fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TrimRange>, D::Error> {
    let ranges = Vec::deserialize(deserializer)?;
    if ranges.is_empty() {
        return Err(D::Error::custom("an empty list; accepted: 1 to 50 ranges"));
    }
    Ok(ranges)
}

impl Trim {
    /// Returns the spans to keep in their order; at least one.
    #[must_use]
    pub fn spans(&self) -> Vec<TrimRange> {
        if self.ranges.is_empty() {
            vec![TrimRange {
                start: self.start,
                end: self.end,
            }]
        } else {
            self.ranges.clone()
        }
    }
}

/// Precision of a trim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrimMode {
    /// Frame-accurate; streams are encoded again where that is necessary.
    #[default]
    Exact,
    /// Without encoding where possible: packets are copied from the keyframe at or before `start`, an edit list hides
    /// the frames before `start`, and the report tells where the packets begin. One span only.
    Fast,
}

/// The canvas of every output that shows frames.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Frame)]
pub struct Canvas {
    /// Aspect ratio of the canvas, such as `16:9`; that of the source when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aspect: Option<Aspect>,
    /// Maximum width in pixels, 16 to 8192.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 8192)]
    pub max_width_px: Option<u32>,
    /// Maximum height in pixels, 16 to 8192.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 8192)]
    pub max_height_px: Option<u32>,
    /// Maximum shorter side in pixels, 16 to 8192: 1080 means "1080p" for landscape and portrait alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 8192)]
    pub max_short_side_px: Option<u32>,
    /// Method to fit a frame with another aspect ratio to the canvas.
    #[serde(default)]
    pub fit: Fit,
    /// Frame rate.
    #[serde(default)]
    pub fps: Fps,
    /// Enlarges a source that is smaller than the canvas. Needs a maximum side.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub upscale: bool,
}

/// Method to fit a frame with another aspect ratio to the canvas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Black bars (letterbox or pillarbox); nothing is cut off.
    #[default]
    Pad,
    /// Fills the canvas; the parts outside of it are cut off.
    Crop,
    /// Both sides are scaled to the canvas; the aspect ratio changes.
    Stretch,
    /// No bars: the canvas shrinks to the frame.
    Inside,
}

/// Bumpers before (intro) and after (outro) the video. Each is a still image without audio, or a clip with its audio.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Bumper)]
pub struct BumperEdit {
    /// The image in the center of a still bumper, scaled down to fit, never up; `logo` is built in.
    #[serde(default = "Name::logo")]
    pub image: Name,
    /// Duration of the still intro in milliseconds, 0 to 60,000.
    #[serde(default)]
    #[schema(maximum = 60000)]
    pub intro_ms: u64,
    /// Duration of the still outro in milliseconds, 0 to 60,000.
    #[serde(default)]
    #[schema(maximum = 60000)]
    pub outro_ms: u64,
    /// Instead of a still intro: a task of the same account, whose whole source is the clip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intro_task: Option<TaskId>,
    /// Instead of a still outro: a task of the same account, whose whole source is the clip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outro_task: Option<TaskId>,
}

impl Default for BumperEdit {
    fn default() -> Self {
        Self {
            image: Name::logo(),
            intro_ms: 0,
            outro_ms: 0,
            intro_task: None,
            outro_task: None,
        }
    }
}

/// An image over the video.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Watermark)]
pub struct WatermarkEdit {
    /// The image; `logo` is built in.
    #[serde(default = "Name::logo")]
    pub image: Name,
    /// Position on the canvas.
    #[serde(default)]
    pub position: Position,
    /// Distance from the edges in pixels of the output, 0 to 1,000.
    #[serde(default = "default_margin_px")]
    #[schema(maximum = 1000)]
    pub margin_px: u32,
    /// Width in percent of the width of the canvas, 1 to 100.
    #[serde(default = "default_width_percent")]
    #[schema(minimum = 1, maximum = 100)]
    pub width_percent: u32,
    /// 0 (transparent) to 1 (opaque), in steps of 0.01.
    #[serde(default)]
    pub opacity: Opacity,
    /// Time at which it appears, in milliseconds of the trimmed video; the beginning when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 3_600_000_000_u64)]
    pub start_ms: Option<u64>,
    /// Time at which it disappears, in milliseconds of the trimmed video; the end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 3_600_000_000_u64)]
    pub end_ms: Option<u64>,
}

const fn default_margin_px() -> u32 {
    10
}

const fn default_width_percent() -> u32 {
    12
}

/// Position of a watermark on the canvas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Position {
    TopLeft,
    #[default]
    TopRight,
    BottomLeft,
    BottomRight,
    Center,
}

/// Selection and processing of the audio of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AudioEdit {
    /// Keep, drop or normalize.
    #[serde(default)]
    pub mode: AudioMode,
    /// Number of the audio stream; 0 is the first one in the file. When absent, the default stream, or the first one if
    /// no stream is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 255)]
    pub stream: Option<u32>,
    /// Language of the audio stream: an ISO 639 code of two or three letters, such as `en` or `eng`. Both forms match,
    /// independent of the form in the file. The first stream with this language is used; if there is none, the stream
    /// that is used without `language`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Name>,
}

/// Processing of the audio of the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AudioMode {
    /// Audio if the source has it.
    #[default]
    Keep,
    /// No audio in any output.
    Drop,
    /// Loudness normalized to −16 LUFS with true peaks of at most −1.5 dBTP, measured in a first pass (EBU R 128).
    Normalize,
}
