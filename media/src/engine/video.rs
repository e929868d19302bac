//! Video between decoder and encoder.
//!
//! | step | file |
//! |---|---|
//! | deinterlace | `deinterlace` |
//! | constant frame rate | `constant_frame_rate` |
//! | rotate, scale, convert the color, once per size | `scaled_frames`, `filter_description`, `color` |
//! | crop or pad, watermark | `frame_renderer`, `filter_graph`, `still_images` |
//! | all of it for the parts of a movie | `composer` |

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
