//! Encoders and their settings. `encoder` sends frames to an open encoder and its packets to the muxer; `audio`,
//! `video` and `still_image` open encoders; `video_settings` has the options of the video encoders.

pub(crate) mod audio;
pub(crate) mod encoder;
pub(crate) mod still_image;
pub(crate) mod video;
pub(crate) mod video_settings;
