//! Reads containers: opens a source with the allowed demuxers, reads its packets, repairs their timestamps and finds what is
//! missing. What FFmpeg does not tell of a container is read from its bytes: [`mp4`], [`fragments`], [`matroska`], [`asf`],
//! [`wav`], [`animation`], [`transport_stream`].

pub(crate) mod animation;
pub(crate) mod asf;
pub(crate) mod broken_off;
pub(crate) mod byte_ranges;
pub(crate) mod container;
pub(crate) mod copy_source;
pub(crate) mod discontinuity;
pub(crate) mod encryption;
pub(crate) mod fragments;
pub(crate) mod frame_steps;
pub(crate) mod gap_detector;
pub(crate) mod header_changes;
pub(crate) mod matroska;
pub(crate) mod mp4;
pub(crate) mod nal;
pub(crate) mod open;
pub(crate) mod packet_check;
pub(crate) mod packets;
pub(crate) mod transport_stream;
pub(crate) mod unread_bytes;
pub(crate) mod wav;
