//! What a user asks for: edits and outputs. The JSON on the wire is these types and nothing else.
//!
//! Reading a recipe with exact field paths is in [`crate::recipe_reader`].

mod edit;
mod output;
mod value;

pub use edit::{AudioEdit, AudioMode, Bumper, Fit, Frame, Position, Trim, TrimMode, Watermark};
pub use output::{
    AudioCodec, AudioFile, AudioFormat, AudioWish, Mp4, Output, Poster, PosterFormat, Speed, VideoCodec, VideoWish,
};
pub use value::{Aspect, Fps, Name, Opacity};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A wish: edits that hold for every output, and the outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Keep one span of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trim: Option<Trim>,
    /// The canvas: aspect, largest size, how the picture is fitted, frame rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<Frame>,
    /// A still before and after the video.
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
