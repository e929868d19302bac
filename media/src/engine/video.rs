//! Video between decoder and encoder: deinterlaced, at a constant frame rate, scaled, rotated, in the color of the output
//! and with the watermark.

pub(crate) mod color;
pub(crate) mod composer;
pub(crate) mod constant_frame_rate;
pub(crate) mod deinterlace;
pub(crate) mod filter_description;
pub(crate) mod filter_graph;
pub(crate) mod frame_renderer;
pub(crate) mod image_decoder;
pub(crate) mod scaled_frames;
pub(crate) mod still_images;
