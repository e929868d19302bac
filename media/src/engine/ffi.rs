//! The calls of FFmpeg's C libraries that ffmpeg-next lacks or does not offer safely. Nothing here decides: each function
//! reads or sets one thing. All `unsafe` code of the engine is in this folder.
#![allow(
    unsafe_code,
    reason = "leaf modules around plain C fields and calls; each block tells why it holds"
)]

pub(crate) mod alpha;
pub(crate) mod frame;
pub(crate) mod graph;
pub(crate) mod input;
pub(crate) mod log;
pub(crate) mod open;
pub(crate) mod output;
pub(crate) mod packet;
pub(crate) mod parameters;
