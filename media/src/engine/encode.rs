//! Encoders and their settings.

pub(crate) mod audio;
pub(crate) mod encoder;
pub(crate) mod still_image;
pub(crate) mod video;
pub(crate) mod video_settings;
