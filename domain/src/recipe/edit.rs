//! The edits that hold for every output of a recipe.

use super::{Aspect, Fps, Name, Opacity};
use crate::task::TaskId;
use crate::time::Timecode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What to keep of the source: one span by `start` and `end`, or several `ranges`, joined in their order. An end after
/// the end of the source means the end of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Trim {
    /// First moment kept; the beginning when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timecode>,
    /// First moment no longer kept; the end of the source when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timecode>,
    /// Instead of `start` and `end`: 1 to 50 spans, joined in this order; they may overlap and repeat.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub ranges: Vec<Range>,
    /// How precisely.
    #[serde(default)]
    pub mode: TrimMode,
}

/// One span to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// First moment kept; the beginning when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timecode>,
    /// First moment no longer kept; the end of the source when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timecode>,
}

impl Trim {
    /// The spans to keep, in their order; at least one.
    #[must_use]
    pub fn spans(&self) -> Vec<Range> {
        if self.ranges.is_empty() {
            vec![Range {
                start: self.start,
                end: self.end,
            }]
        } else {
            self.ranges.clone()
        }
    }
}

/// How precisely a trim cuts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrimMode {
    /// To the frame; what must be encoded again for that is.
    #[default]
    Exact,
    /// Without encoding where that is possible: packets from the keyframe at or before `start` are kept, what comes
    /// before `start` is hidden by an edit list, and the report tells where the packets begin. One span only.
    Fast,
}

/// The canvas of every picture output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// Aspect of the canvas, such as `16:9`; that of the source when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aspect: Option<Aspect>,
    /// Largest width in pixels, 16 to 8192.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 8192)]
    pub max_width_px: Option<u32>,
    /// Largest height in pixels, 16 to 8192.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 8192)]
    pub max_height_px: Option<u32>,
    /// Largest shorter side in pixels, 16 to 8192: 1080 means "1080p" for landscape and portrait alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 8192)]
    pub max_short_side_px: Option<u32>,
    /// How a picture of another aspect is brought onto the canvas.
    #[serde(default)]
    pub fit: Fit,
    /// Frame rate.
    #[serde(default)]
    pub fps: Fps,
    /// Whether a source smaller than the canvas is enlarged. Needs a largest side.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub upscale: bool,
}

/// How a picture of another aspect is brought onto the canvas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Black bars; nothing is lost.
    #[default]
    Pad,
    /// What stands out on two sides is cut off.
    Crop,
    /// Each side is scaled on its own.
    Stretch,
    /// No bars: the canvas shrinks to the picture.
    Inside,
}

/// What comes before and after the video: for each of the two sides a still, silent, or a clip with its sound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bumper {
    /// The image in the middle of the still, scaled down to fit, never up; `logo` is built in.
    #[serde(default = "Name::logo")]
    pub image: Name,
    /// Milliseconds of the still before the video, 0 to 60,000.
    #[serde(default)]
    #[schema(maximum = 60000)]
    pub intro_ms: u64,
    /// Milliseconds of the still after the video, 0 to 60,000.
    #[serde(default)]
    #[schema(maximum = 60000)]
    pub outro_ms: u64,
    /// Instead of a still before the video: the source of this task of the same account, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intro_task: Option<TaskId>,
    /// Instead of a still after the video: the source of this task of the same account, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outro_task: Option<TaskId>,
}

impl Default for Bumper {
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

/// An image laid over the picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Watermark {
    /// The image; `logo` is built in.
    #[serde(default = "Name::logo")]
    pub image: Name,
    /// Where it stands.
    #[serde(default)]
    pub position: Position,
    /// Distance from the edges in pixels of the output, 0 to 1,000.
    #[serde(default = "ten")]
    #[schema(maximum = 1000)]
    pub margin_px: u32,
    /// Its width in percent of the width of the canvas, 1 to 100.
    #[serde(default = "twelve")]
    #[schema(minimum = 1, maximum = 100)]
    pub width_percent: u32,
    /// 0 (invisible) to 1 (solid), in hundredths.
    #[serde(default)]
    pub opacity: Opacity,
    /// First moment at which it is seen, in milliseconds of the trimmed video; from its beginning when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 3_600_000_000_u64)]
    pub start_ms: Option<u64>,
    /// First moment at which it is no longer seen; to the end of the video when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 3_600_000_000_u64)]
    pub end_ms: Option<u64>,
}

const fn ten() -> u32 {
    10
}

const fn twelve() -> u32 {
    12
}

/// Where a watermark stands.
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

/// What happens to the sound of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AudioEdit {
    /// Keep, drop or normalize.
    #[serde(default)]
    pub mode: AudioMode,
    /// Which sound stream: 0 is the first of the file. The default one, or the first, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<u32>,
    /// The first sound stream of this language, a code of ISO 639 of two or three letters, such as `en` or `eng`, whichever of
    /// them the container writes; the usual one when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Name>,
}

/// Whether sound is kept, and how loud.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AudioMode {
    /// Sound where the source has it.
    #[default]
    Keep,
    /// No sound in any output.
    Drop,
    /// Brought to −16 LUFS with true peaks of at most −1.5 dBTP, measured in a first pass (EBU R 128).
    Normalize,
}
