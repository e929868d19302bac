//! The kinds of outputs, one file each. Each runs on a thread of its own and takes what the fan-out gives it.

pub(crate) mod audio_file;
pub(crate) mod gif;
pub(crate) mod hls;
pub(crate) mod movie;
pub(crate) mod movie_audio;
pub(crate) mod poster;
pub(crate) mod remux;
pub(crate) mod sprite;
