//! Writes encoded and copied packets into containers: single files, or the segments of an adaptive stream.
//!
//! [`muxer`] is the entry. It writes one container with FFmpeg; with a [`segmenter`] it writes fragments of MP4 and
//! cuts them into segments at [`segment_boundaries`]. [`packet_copy`] selects and shifts packets of the source for
//! outputs that do not encode, and [`packet_digest`] proves to verification that they arrived unchanged.

pub(crate) mod container;
pub(crate) mod edit_list;
pub(crate) mod muxer;
pub(crate) mod packet_copy;
pub(crate) mod packet_digest;
pub(crate) mod segment_boundaries;
pub(crate) mod segmenter;
