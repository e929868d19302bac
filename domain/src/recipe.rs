//! Recipes: the edits and outputs that a user requests. These types define the JSON of the API.
//!
//! [`crate::recipe_reader`] parses and checks a recipe and names each rejected field by its path.

mod destination;
mod edit;
mod encoding;
mod ladder;
mod output;
mod output_schema;
mod value;

pub use destination::{Destination, DestinationUrl, DestinationValues};
pub use edit::{AudioEdit, AudioMode, BumperEdit, Canvas, Fit, Position, Trim, TrimMode, TrimRange, WatermarkEdit};
pub use encoding::{AudioCodec, AudioEncoding, DEFAULT_AUDIO_BPS, Speed, VideoCodec, VideoEncoding};
pub use ladder::Ladder;
pub use output::{
    AudioFormat, AudioOutput, GifOutput, HlsOutput, Output, PosterFormat, PosterOutput, SpriteOutput, VideoOutput,
};
pub use value::{Aspect, Fps, Name, Opacity};

use crate::task::TaskId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A recipe: edits that apply to every output, and the outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"frame": {"max_short_side_px": 720}, "outputs": [{"kind": "mp4"}, {"kind": "poster"}]}))]
pub struct Recipe {
    /// The spans of the source to keep; the whole source when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trim: Option<Trim>,
    /// The canvas: aspect ratio, maximum size, fit, frame rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<Canvas>,
    /// Bumpers before and after the video: still images or clips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bumper: Option<BumperEdit>,
    /// An image over the video, but not over the bumpers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<WatermarkEdit>,
    /// Selection and processing of the audio.
    #[serde(default)]
    pub audio: AudioEdit,
    /// A bucket of the customer to which the outputs are written as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Destination>,
    /// The outputs to create, 1 to 12.
    #[schema(min_items = 1, max_items = 12)]
    pub outputs: Vec<Output>,
}

impl Recipe {
    /// Returns the images that the recipe names, `logo` included, each with the path of its field.
    #[must_use]
    pub fn images(&self) -> Vec<(&'static str, &Name)> {
        let bumper = self.bumper.as_ref().map(|bumper| ("bumper.image", &bumper.image));
        let watermark = self
            .watermark
            .as_ref()
            .map(|watermark| ("watermark.image", &watermark.image));
        bumper.into_iter().chain(watermark).collect()
    }

    /// Returns the tasks whose sources are used as bumpers, each with the path of its field.
    #[must_use]
    pub fn clips(&self) -> Vec<(&'static str, TaskId)> {
        let Some(bumper) = &self.bumper else { return Vec::new() };
        let sides = [
            ("bumper.intro_task", bumper.intro_task),
            ("bumper.outro_task", bumper.outro_task),
        ];
        sides
            .into_iter()
            .filter_map(|(field, task)| Some((field, task?)))
            .collect()
    }
}
