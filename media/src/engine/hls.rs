//! Makes an adaptive stream (RFC 8216) of fragmented MP4: one decode feeds all rungs, and the sound is a rendition for
//! all of them.

mod check;
mod cuts;
mod flush;
mod joined;
mod master;
mod playlist;
mod rungs;
mod segments;

pub(super) use check::run as check;
pub(super) use cuts::Cuts;
pub(super) use joined::Joined;
pub(super) use segments::{Place, Rendition, Segments};

use super::feed::Inbox;
use super::transcode::{Job, unsupported};
use super::{fault, mux};
use domain::Failure;
use domain::plan::{Hls, Rung};
use domain::protocol::Made;
use master::{MASTER, Master, Variant};
use playlist::Media;
use std::fs;
use std::path::Path;

/// What the files of the sound are named after.
const AUDIO: &str = "audio";

/// What one rung became: its frames and length, and the renditions of its pictures and of the sound.
type Shot = (Made, Vec<Rendition>);

/// Makes the stream in a directory of its own from the pieces that come.
pub(super) fn run(job: &Job<'_>, file: &str, order: &Hls, from: &Inbox) -> Result<Made, Failure> {
    let folder = mux::place(job.scratch, file)?;
    fs::create_dir(&folder).map_err(|error| fault::disk(file, &error))?;
    let shots = rungs::shoot(job, order, (file, &folder), from)?;
    write_playlists(job, order, &folder, &shots)?;
    // Encoded rungs share one rate, so one tells for all; a copied first rung drops nothing.
    let dropped = shots.iter().find_map(|(made, _)| made.dropped);
    let (first, _) = shots
        .into_iter()
        .next()
        .ok_or_else(|| unsupported("streams without rungs"))?;
    Ok(Made {
        file: file.to_owned(),
        dropped,
        ..first
    })
}

/// What the files of a rung are named after.
fn stem_of(rung: &Rung) -> String {
    format!("{}p", rung.short_side_px)
}

/// Writes a playlist for every rendition, and the one that names them all.
fn write_playlists(job: &Job<'_>, order: &Hls, folder: &Path, shots: &[Shot]) -> Result<(), Failure> {
    let renditions = || shots.iter().flat_map(|(_, renditions)| renditions);
    let longest_us = renditions()
        .flat_map(|rendition| &rendition.segments)
        .map(|segment| segment.duration_us)
        .max();
    // The same for all, as RFC 8216 (section 6.2.4) wants it.
    let target_s = longest_us.unwrap_or(0).div_ceil(1_000_000).max(1);
    let write =
        |file: &str, text: String| fs::write(folder.join(file), text).map_err(|error| fault::disk(file, &error));
    for rendition in renditions() {
        write(
            &playlist::file_of(&rendition.stem),
            Media::of(rendition, target_s).to_string(),
        )?;
    }
    let sound = shots.iter().flat_map(|(_, renditions)| renditions.get(1)).next();
    let variants = order.rungs.iter().zip(shots).filter_map(|(rung, (_, renditions))| {
        let pictures = renditions.first()?;
        Some(Variant::of(
            pictures,
            sound,
            (rung.video.size(), job.plan.fps),
            target_s,
        ))
    });
    let master = Master {
        channels: sound.and(job.sound()).map(|sound| sound.channels),
        language: order.language.clone().filter(|_| sound.is_some()),
        variants: variants.collect(),
    };
    write(MASTER, master.to_string())
}
