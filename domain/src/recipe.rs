//! What a user asks for: edits and outputs. The JSON on the wire is these types and nothing else.
//!
//! Reading a recipe with exact field paths is in [`crate::recipe_reader`].

mod edit;
mod ladder;
mod output;
mod output_schema;
mod value;
mod wish;

pub use edit::{AudioEdit, AudioMode, Bumper, Fit, Frame, Position, Range, Trim, TrimMode, Watermark};
pub use ladder::Ladder;
pub use output::{AudioFile, AudioFormat, Gif, Hls, Movie, Output, Poster, PosterFormat, Sprite};
pub use value::{Aspect, Fps, Name, Opacity};
pub use wish::{AudioCodec, AudioWish, Speed, USUAL_AUDIO_BPS, VideoCodec, VideoWish};

use crate::task::TaskId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A wish: edits that hold for every output, and the outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"frame": {"max_short_side_px": 720}, "outputs": [{"kind": "mp4"}, {"kind": "poster"}]}))]
pub struct Recipe {
    /// Keep one span of the source, or several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trim: Option<Trim>,
    /// The canvas: aspect, largest size, how the picture is fitted, frame rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<Frame>,
    /// A still or a clip before and after the video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bumper: Option<Bumper>,
    /// An image laid over the video (not over the bumpers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Watermark>,
    /// What happens to the sound.
    #[serde(default)]
    pub audio: AudioEdit,
    /// The files to make, 1 to 12.
    #[schema(min_items = 1, max_items = 12)]
    pub outputs: Vec<Output>,
}

impl Recipe {
    /// The images it names, each with the path of the field that does, `logo` included.
    #[must_use]
    pub fn images(&self) -> Vec<(&'static str, &Name)> {
        let bumper = self.bumper.as_ref().map(|bumper| ("bumper.image", &bumper.image));
        let watermark = self.watermark.as_ref().map(|mark| ("watermark.image", &mark.image));
        bumper.into_iter().chain(watermark).collect()
    }

    /// The tasks whose sources it takes clips from, each with the path of the field that names it.
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
