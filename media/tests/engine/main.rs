//! Tests of the engine. The sources are clips that are encoded with the `ffmpeg` command line; the outputs are decoded
//! with it and compared frame by frame and sample by sample. `requirements.rs` lists what the tests show.

#![allow(clippy::disallowed_methods, reason = "a test starts servers and command-line tools")]

#[cfg(test)]
mod alpha_and_spatial;
#[cfg(test)]
mod animations;
#[cfg(test)]
mod aspect_ratios;
#[cfg(test)]
mod broken_off;
#[cfg(test)]
mod bumpers;
#[cfg(test)]
mod clips;
#[cfg(test)]
mod colors;
#[cfg(test)]
mod concatenated_files;
#[cfg(test)]
mod constant_frame_rate;
#[cfg(test)]
mod container_colors;
#[cfg(test)]
mod container_timing;
#[cfg(test)]
mod containers;
#[cfg(test)]
mod deinterlacing;
#[cfg(test)]
mod discontinuities;
#[cfg(test)]
mod dropped_frames;
#[cfg(test)]
mod encryption;
#[cfg(test)]
mod fast_trims;
#[cfg(test)]
mod fragment_order;
#[cfg(test)]
mod frame_geometry;
#[cfg(test)]
mod frame_timing;
#[cfg(test)]
mod gaps;
#[cfg(test)]
mod gaps_or_pauses;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod held_frames;
#[cfg(test)]
mod hls;
#[cfg(test)]
mod hls_copy_refusals;
#[cfg(test)]
mod hls_player;
#[cfg(test)]
mod hls_playlists;
#[cfg(test)]
mod hls_stream_copy;
#[cfg(test)]
mod hls_verification;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod images;
#[cfg(test)]
mod intermediate_codecs;
#[cfg(test)]
mod loudness;
#[cfg(test)]
mod missing_bytes;
#[cfg(test)]
mod mp4_boxes;
#[cfg(test)]
mod output_codecs;
#[cfg(test)]
mod outputs;
#[cfg(test)]
mod requirements;
#[cfg(test)]
#[path = "../../../tests/src/skip.rs"]
mod skip;
#[cfg(test)]
mod sprites_and_gifs;
mod stalls;
#[cfg(test)]
mod stream_copy;
#[cfg(test)]
mod stream_copy_profiles;
#[cfg(test)]
mod stream_copy_refusals;
#[cfg(test)]
mod stream_ends;
#[cfg(test)]
mod stream_limits;
#[cfg(test)]
mod stream_selection;
#[cfg(test)]
mod trim_ranges;
#[cfg(test)]
mod verification;
