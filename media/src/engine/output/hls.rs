//! Encodes an adaptive stream: HLS (RFC 8216) with CMAF segments.
//!
//! One decode feeds all rungs ([`rungs`]), which share one audio rendition. Each rung is written by its muxer as
//! segments with exact sizes and durations. The playlists are written at the end, because they need the peak bit rate
//! and the longest segment. Video and audio are separate renditions, so that players do not load the audio again when
//! they change the rung.

pub(crate) mod master_playlist;
pub(crate) mod media_playlist;
mod rungs;

use crate::engine::context::OutputContext;
use crate::engine::error::{self, unsupported_output};
use crate::engine::fanout::channel::MediaReceiver;
use crate::engine::output::hls::master_playlist::{MASTER, MasterPlaylist, Variant, VideoFormat};
use crate::engine::output::hls::media_playlist::MediaPlaylist;
use crate::engine::output::hls::rungs::HlsTarget;
use crate::engine::output::movie::MovieOutput;
use crate::engine::paths;
use domain::Failure;
use domain::plan::Hls;
use domain::protocol::OutputReport;
use std::fs;
use std::path::Path;

/// Writes the stream into a directory of its own in the scratch directory. The report is that of the first rung.
pub(crate) fn run(
    context: &OutputContext<'_>,
    file: &str,
    spec: &Hls,
    receiver: &MediaReceiver,
) -> Result<OutputReport, Failure> {
    let directory = paths::output_path(context.scratch, file)?;
    fs::create_dir(&directory).map_err(|error| error::io_failure(file, &error))?;
    let rungs = rungs::encode_rungs(
        context,
        spec,
        &HlsTarget {
            file,
            directory: &directory,
        },
        receiver,
    )?;
    write_playlists(context, spec, &directory, &rungs)?;
    // All encoded rungs have the same frame rate and drop the same frames. A copied first rung drops none.
    let dropped = rungs.iter().find_map(|rung| rung.report.dropped);
    let first = rungs
        .into_iter()
        .next()
        .ok_or_else(|| unsupported_output("adaptive streams without rungs"))?;
    Ok(OutputReport {
        file: file.to_owned(),
        dropped,
        ..first.report
    })
}

/// Writes the media playlist of every rendition, and the master playlist.
fn write_playlists(
    context: &OutputContext<'_>,
    spec: &Hls,
    directory: &Path,
    rungs: &[MovieOutput],
) -> Result<(), Failure> {
    let renditions = || rungs.iter().flat_map(|rung| &rung.renditions);
    let max_segment_us = renditions()
        .flat_map(|rendition| &rendition.segments)
        .map(|segment| segment.duration_us)
        .max();
    // All renditions must have the same target duration (RFC 8216, section 6.2.4).
    let target_s = max_segment_us.unwrap_or(0).div_ceil(1_000_000).max(1);
    let write = |file: &str, text: String| {
        fs::write(directory.join(file), text).map_err(|error| error::io_failure(file, &error))
    };
    for rendition in renditions() {
        write(
            &media_playlist::playlist_file(&rendition.stem),
            MediaPlaylist::of(rendition, target_s).to_string(),
        )?;
    }
    let audio = rungs.iter().find_map(|rung| rung.renditions.get(1));
    let variants = spec.rungs.iter().zip(rungs).filter_map(|(rung, output)| {
        let video = output.renditions.first()?;
        let format = VideoFormat {
            size: rung.video.size(),
            fps: context.plan.fps,
        };
        Some(Variant::of(video, audio, format, target_s))
    });
    let master = MasterPlaylist {
        channels: audio.and(context.audio()).map(|audio| audio.channels),
        language: spec.language.clone().filter(|_| audio.is_some()),
        variants: variants.collect(),
    };
    write(MASTER, master.to_string())
}
