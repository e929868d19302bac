//! Plans: what a task would do with a source, and an estimate of its cost.

use domain::Recipe;
use domain::plan::{Estimate, Step, Warning};
use domain::recipe::{AudioCodec, VideoCodec};
use domain::time::Rational;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A recipe and a source. The recipe is a `preset`, a `recipe`, or the default preset when both are absent. The source
/// is that of a `task`, or given as facts.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanRequest, example = json!({"preset": "web", "source": {
    "container": "mov,mp4", "bytes": 5_000_000, "duration_us": 10_000_000, "start_us": 0,
    "streams": [{"index": 0, "codec": "h264", "decodable": true, "default": true, "language": null, "kind": {"video": {
        "width_px": 1920, "height_px": 1080, "sample_aspect": "1", "quarter_turns": 0, "mirrored": false,
        "average_fps": "25", "base_fps": "25", "pixel_format": "yuv420p", "bit_depth": 8, "hdr": false,
        "interlaced": false, "duration_us": 10_000_000}}}]}}))]
pub struct PlanBody {
    /// The name of a preset; not together with `recipe`.
    pub preset: Option<String>,
    /// A recipe; not together with `preset`.
    #[schema(required = false, nullable = false, value_type = Recipe)]
    pub recipe: Option<Value>,
    /// The id of a task whose source has been probed.
    pub task: Option<i64>,
    /// Facts of a source, in the form of `probe` in a report; not together with `task`.
    #[schema(required = false, nullable = false, value_type = Object)]
    pub source: Option<Value>,
}

/// The plan of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanView {
    /// The outputs, in the order of the recipe.
    pub outputs: Vec<PlannedView>,
    /// Warnings that the report of the task would have.
    pub warnings: Vec<Warning>,
    /// The estimated cost.
    pub estimate: Estimate,
}

/// A planned output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedView {
    /// The file name, or the name of a set of files.
    #[schema(example = "video.mp4")]
    pub name: String,
    /// The `kind` of the recipe.
    #[schema(example = "mp4")]
    pub kind: String,
    /// The media type; of a set of files, that of its entry file.
    #[schema(example = "video/mp4")]
    pub media_type: String,
    /// Width in pixels; null for audio. Of an adaptive output, that of the largest rendition; of a sprite, that of one
    /// thumbnail.
    pub width_px: Option<u32>,
    /// Height in pixels, of the same frame as the width.
    pub height_px: Option<u32>,
    /// Frames per second; null for stills and audio.
    pub fps: Option<Rational>,
    /// Duration in milliseconds; null for stills.
    pub duration_ms: Option<u64>,
    /// The video codec; null without video.
    pub video_codec: Option<VideoCodec>,
    /// The audio codec; null without audio.
    pub audio_codec: Option<AudioCodec>,
    /// The streams that are copied or encoded, with the reasons.
    pub steps: Vec<Step>,
}
