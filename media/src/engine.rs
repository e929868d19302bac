//! Reads facts from media, obeys a [`Plan`], and looks at what came out. It decides nothing that a plan decides.
//!
//! A source is only ever an open file; outputs are only ever files directly below `scratch`.

mod asf;
mod av;
mod av_out;
mod boxes;
mod cadence;
mod cancel;
mod check;
mod clock;
mod color;
mod copied;
mod costs;
mod descent;
mod drawing;
mod ear;
mod ebml;
mod edit_list;
mod encode;
mod encrypted;
mod facts;
mod fault;
mod feed;
mod gif;
mod graph;
mod headers;
mod hls;
mod holes;
mod image;
mod imprint;
mod input;
mod keyframes;
mod level;
mod losses;
mod loudness;
mod measure;
mod moments;
mod movie;
mod mux;
mod nal;
mod originals;
mod parts;
mod picture;
mod poster;
mod program;
mod progress;
mod reader;
mod remux;
mod scene;
mod seek;
mod settings;
mod sink;
mod sound_file;
mod soundtrack;
mod sprite;
mod stage;
mod still;
mod syntax;
mod take;
mod tape;
mod track;
mod transcode;
mod weave;

pub use cancel::Cancel;
pub use still::Images;

use domain::plan::{Content, PlannedOutput};
use domain::probe::Stream;
use domain::protocol::{Checked, Depth, Made, Progress, Report};
use domain::{Failure, FailureKind, Plan, Probe};
use std::fs::File;
use std::path::Path;

/// Readies FFmpeg: error texts, and logs that stay short. To be called once, before anything else here.
pub fn init() {
    // It only fills tables; the result is always `Ok`.
    let _ = ffmpeg_next::init();
    av::logs::quiet();
    av_out::quiet_encoders();
}

/// Reads the facts of a source.
///
/// # Errors
/// [`domain::Code::NotMedia`] when no allowed demuxer opens it, [`domain::Code::SourceDamaged`] when one does and fails,
/// [`domain::Code::SourceEncrypted`] when its pictures or its sound are encrypted.
pub fn probe(source: &File, cancel: &Cancel) -> Result<Probe, Failure> {
    encrypted::check(source)?;
    let bytes = source.metadata().map_or(0, |metadata| metadata.len());
    let mut input = input::open_source(source, cancel)?;
    let mut probe = facts::read(&mut input, bytes, cancel)?;
    if probe.container.starts_with("mov") {
        let counts = boxes::descriptions(source).unwrap_or_default();
        for (stream, _) in probe.streams.iter_mut().zip(counts).filter(|(_, count)| *count > 1) {
            stream.set_changes();
        }
    }
    if probe.container == "asf" {
        let promised_us = asf::promised_us(source).unwrap_or(0);
        if promised_us > probe.duration_us {
            // It breaks off: where its streams would have ended nobody knows.
            probe.duration_us = promised_us;
            probe.streams.iter_mut().for_each(Stream::forget_end);
        }
    }
    Ok(probe)
}

/// What outputs are made from.
#[derive(Clone, Copy, Debug)]
pub struct Footage<'a> {
    /// The source, then the clips of intro and outro.
    pub sources: &'a [File],
    /// The images that the plan names, but for the built-in one.
    pub images: &'a Images,
}

/// Makes every output of the plan in `scratch`, decoding the source once.
///
/// `progress` is called on this thread, at most every half second, and once more with 100 percent.
///
/// # Errors
/// [`domain::Code::SourceDamaged`] when no picture or sound could be read, [`domain::Code::StorageFull`] when the disk is full.
#[allow(clippy::too_many_arguments, reason = "what a transcode is made of; no two of a kind")]
pub fn transcode(
    footage: &Footage<'_>,
    plan: &Plan,
    scratch: &Path,
    threads: u32,
    progress: &mut dyn FnMut(Progress),
    cancel: &Cancel,
) -> Result<Report, Failure> {
    transcode::run(
        &transcode::Work {
            sources: footage.sources,
            images: footage.images,
            plan,
            scratch,
            threads,
            cancel,
        },
        progress,
    )
}

/// Opens a finished output again and reads what a player would find, and hear where its maker says that it is loud.
///
/// # Errors
/// [`domain::Code::OutputInvalid`] when it cannot be opened or read.
pub fn verify(
    scratch: &Path,
    planned: &PlannedOutput,
    made: &Made,
    depth: Depth,
    cancel: &Cancel,
) -> Result<Checked, Failure> {
    let checked = match &planned.content {
        Content::Hls(hls) => hls::check(scratch, (&planned.file, hls), made, depth, cancel).map(Checked::Hls),
        Content::Sprite { .. } => sprite::check(scratch, &planned.file, cancel).map(Checked::Sprite),
        _ => check::run(scratch, &planned.file, made, depth, cancel).map(Checked::File),
    };
    checked.map_err(|failure| match failure.kind {
        // What would be the fault of a source is ours here.
        FailureKind::Input | FailureKind::Unsupported => check::invalid(&planned.file, &failure.detail),
        FailureKind::Infrastructure
        | FailureKind::Transfer
        | FailureKind::ResourceLimit
        | FailureKind::MediaCrash
        | FailureKind::Postponed => failure,
    })
}
