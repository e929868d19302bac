//! Demuxing: opens a source with the allowed demuxers and reads its packets.
//!
//! | file | content |
//! |---|---|
//! | `open` | allowed demuxers and decoders, limits on headers |
//! | `packets` | reading with tolerance for single errors |
//! | `discontinuity`, `packet_times`, `flac_frames`, `flac_positions`, `ogg_links`, `early_times` | timestamp repairs |
//! | `edited_file` | a file with parts left out, replaced or in another order |
//! | `file_structure` | what such edits follow from, and the rest that is read for them |
//! | `gap_detector`, `stated_length`, `broken_off`, `unread_bytes` | lost packets: by gaps, by headers, by bytes not read |
//! | `codec_changes` | packets of joined files that the decoder of their stream must not get |
//! | `frame_steps` | detection of variable frame rates |
//! | `packet_check`, `header_changes`, `nal` | damage and changed codec headers in packets, without decoding |
//! | `copy_source` | streams that outputs copy |
//! | `mp4`, `fragments`, `fragment_bases`, `fragment_order`, `matroska`, `matroska_chain`, `asf`, `wav`, `flac_files`, `animation`, `gif_pixels`, `transport_stream` | parsers for facts that FFmpeg does not expose |
//! | `encryption` | detection of encrypted files |
//! | `byte_ranges` | segments of a rendition, read as one file |

pub(crate) mod animation;
pub(crate) mod asf;
pub(crate) mod broken_off;
pub(crate) mod byte_ranges;
pub(crate) mod codec_changes;
pub(crate) mod container;
pub(crate) mod copy_source;
pub(crate) mod discontinuity;
pub(crate) mod early_times;
pub(crate) mod edited_file;
pub(crate) mod encryption;
pub(crate) mod file_structure;
pub(crate) mod flac_files;
pub(crate) mod flac_frames;
pub(crate) mod flac_positions;
pub(crate) mod fragment_bases;
pub(crate) mod fragment_order;
pub(crate) mod fragments;
pub(crate) mod frame_steps;
pub(crate) mod gap_detector;
pub(crate) mod gif_pixels;
pub(crate) mod header_changes;
pub(crate) mod matroska;
pub(crate) mod matroska_chain;
pub(crate) mod mp4;
pub(crate) mod nal;
pub(crate) mod ogg_links;
pub(crate) mod open;
pub(crate) mod packet_check;
pub(crate) mod packet_times;
pub(crate) mod packets;
pub(crate) mod stated_length;
pub(crate) mod transport_stream;
pub(crate) mod unread_bytes;
pub(crate) mod wav;
