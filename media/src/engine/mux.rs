//! Writes packets into files: encoded ones and copied ones, as a file or as segments of an adaptive stream.

pub(crate) mod container;
pub(crate) mod edit_list;
pub(crate) mod muxer;
pub(crate) mod packet_copy;
pub(crate) mod packet_digest;
pub(crate) mod segment_boundaries;
pub(crate) mod segmenter;
