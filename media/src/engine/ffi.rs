//! FFmpeg C calls and struct fields that ffmpeg-next lacks or does not offer safely. All `unsafe` code of the engine is
//! in this folder.
//!
//! Each function reads or sets one thing and makes no decisions, so that its `// SAFETY:` comment can be checked alone.
//! C enums that a file controls are read and written as integers: a file may hold values that the Rust bindings do not
//! know, and such a value in a Rust enum is undefined behavior.
#![allow(
    unsafe_code,
    reason = "leaf modules around C fields and calls; each block states why it is sound"
)]

pub(crate) mod alpha;
pub(crate) mod end_signals;
pub(crate) mod frame;
pub(crate) mod graph;
pub(crate) mod input;
pub(crate) mod log;
pub(crate) mod open;
pub(crate) mod output;
pub(crate) mod packet;
pub(crate) mod parameters;
pub(crate) mod reservation;
