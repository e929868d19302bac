//! Stories of the engine on clips made at test time with the `ffmpeg` command line.

#[cfg(test)]
mod animations;
#[cfg(test)]
mod aspects;
#[cfg(test)]
mod boxes;
#[cfg(test)]
mod bumpers;
#[cfg(test)]
mod clips;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod codecs;
#[cfg(test)]
mod colors;
#[cfg(test)]
mod colors_told;
#[cfg(test)]
mod containers;
#[cfg(test)]
mod copies;
#[cfg(test)]
mod copy_profiles;
#[cfg(test)]
mod copy_refusals;
#[cfg(test)]
mod crowds;
#[cfg(test)]
mod dropped;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod fast_trims;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod grids;
mod hangs;
#[cfg(test)]
mod hls;
#[cfg(test)]
mod hls_copies;
#[cfg(test)]
mod hls_damage;
#[cfg(test)]
mod hls_playlists;
#[cfg(test)]
mod holes;
#[cfg(test)]
mod holes_or_pauses;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod images;
#[cfg(test)]
mod intermediates;
#[cfg(test)]
mod joined_files;
#[cfg(test)]
mod joins;
#[cfg(test)]
mod jumps;
#[cfg(test)]
mod locked;
#[cfg(test)]
mod looks;
#[cfg(test)]
mod loudness;
#[cfg(test)]
mod outputs;
#[cfg(test)]
mod player;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod stands;
#[cfg(test)]
mod stills;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod studio;
#[cfg(test)]
mod timing;
#[cfg(test)]
mod tracks;
#[cfg(test)]
mod transparency;
#[cfg(test)]
mod verification;
