//! Makes an adaptive stream (RFC 8216) of fragmented MP4: one decode feeds all rungs, which share one audio rendition.

pub(crate) mod master_playlist;
pub(crate) mod media_playlist;
mod rungs;

use crate::engine::context::OutputContext;
use crate::engine::error::{self, unsupported_output};
use crate::engine::fanout::channel::Inbox;
use crate::engine::output::hls::master_playlist::{MASTER, MasterPlaylist, Variant};
use crate::engine::output::hls::media_playlist::MediaPlaylist;
use crate::engine::output::hls::rungs::RungResult;
use crate::engine::paths;
use domain::Failure;
use domain::plan::Hls;
use domain::protocol::Made;
use std::fs;
use std::path::Path;

/// Makes the stream in a directory of its own from the pieces that come.
pub(crate) fn run(context: &OutputContext<'_>, file: &str, order: &Hls, from: &Inbox) -> Result<Made, Failure> {
    let folder = paths::output_path(context.scratch, file)?;
    fs::create_dir(&folder).map_err(|error| error::disk(file, &error))?;
    let rungs = rungs::make_rungs(context, order, (file, &folder), from)?;
    write_playlists(context, order, &folder, &rungs)?;
    // Encoded rungs share one rate, so one tells for all; a copied first rung drops nothing.
    let dropped = rungs.iter().find_map(|(made, _)| made.dropped);
    let (first, _) = rungs
        .into_iter()
        .next()
        .ok_or_else(|| unsupported_output("streams without rungs"))?;
    Ok(Made {
        file: file.to_owned(),
        dropped,
        ..first
    })
}

/// Writes a playlist for every rendition, and the one that names them all.
fn write_playlists(
    context: &OutputContext<'_>,
    order: &Hls,
    folder: &Path,
    rungs: &[RungResult],
) -> Result<(), Failure> {
    let renditions = || rungs.iter().flat_map(|(_, renditions)| renditions);
    let longest_us = renditions()
        .flat_map(|rendition| &rendition.segments)
        .map(|segment| segment.duration_us)
        .max();
    // The same for all, as RFC 8216 (section 6.2.4) wants it.
    let target_s = longest_us.unwrap_or(0).div_ceil(1_000_000).max(1);
    let write =
        |file: &str, text: String| fs::write(folder.join(file), text).map_err(|error| error::disk(file, &error));
    for rendition in renditions() {
        write(
            &media_playlist::file_of(&rendition.stem),
            MediaPlaylist::of(rendition, target_s).to_string(),
        )?;
    }
    let audio = rungs.iter().flat_map(|(_, renditions)| renditions.get(1)).next();
    let variants = order.rungs.iter().zip(rungs).filter_map(|(rung, (_, renditions))| {
        let video = renditions.first()?;
        Some(Variant::of(
            video,
            audio,
            (rung.video.size(), context.plan.fps),
            target_s,
        ))
    });
    let master = MasterPlaylist {
        channels: audio.and(context.audio()).map(|audio| audio.channels),
        language: order.language.clone().filter(|_| audio.is_some()),
        variants: variants.collect(),
    };
    write(MASTER, master.to_string())
}
