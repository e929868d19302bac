//! The kinds of outputs, one file each.
//!
//! Every output runs on a thread of its own: `run` receives frames, audio and packets from the fan-out over a bounded
//! channel until the reader closes it, writes its files into the scratch directory, and returns a report that
//! verification compares with the files. An error ends the output; the fan-out notices that its receiver is gone.

pub(crate) mod audio_file;
pub(crate) mod gif;
pub(crate) mod hls;
pub(crate) mod movie;
pub(crate) mod movie_audio;
pub(crate) mod poster;
pub(crate) mod remux;
pub(crate) mod sprite;
