//! The media engine: reads facts from media, executes a [`Plan`] with FFmpeg, and verifies the outputs. It decides nothing
//! that a plan decides. A source is only ever an open file; outputs are only ever files directly below `scratch`.
//!
//! # Pipeline
//!
//! ```text
//! demux -> decode -> fan-out -+-> compose and scale -> encode -> mux -> verify      one thread per output
//!                             +-> compose and scale -> encode -> mux -> verify
//!                             +-> copied packets ------------> mux -> verify
//! ```
//!
//! One thread reads and decodes the source once; every output has a thread of its own, which takes frames, samples and
//! packets from a bounded channel. [`transcode`](mod@transcode) starts these threads.
//!
//! # Folders
//!
//! | folder | stage |
//! |---|---|
//! | `ffi` | C calls that ffmpeg-next lacks; all `unsafe` code |
//! | `demux` | containers: open, read packets, repair timestamps (`discontinuity`), lost packets (`gap_detector`) |
//! | `probe` | facts of a source: headers, duration, frame rate, keyframes |
//! | `decode` | decoders (`stream_decoder`), the part being read (`reader`), the parts of a plan (`timeline`) |
//! | `fanout` | hands frames, samples and packets to the outputs |
//! | `video` | `deinterlace`, `constant_frame_rate`, `scaled_frames`, `composer`, filter graphs, color |
//! | `audio` | `fifo`, `loudness` (EBU R 128), `limiter`, `peak_meter` |
//! | `encode` | encoders and their settings |
//! | `mux` | containers written: `muxer`, `segmenter`, `packet_copy`, `edit_list` |
//! | `output` | kinds of outputs: `movie`, `remux`, `hls`, `gif`, `poster`, `sprite`, `audio_file` |
//! | `verify` | reads finished outputs as a player does |
//!
//! Beside them: `context` (values that stages share), `time`, `paths`, `error`, `cancel`, `progress`, `stage` (detects
//! stages that hang), `resource_usage`.
//!
//! Definitions stand below their users: no two files import each other, directly or through others.

mod audio;
mod cancel;
mod context;
mod decode;
mod demux;
mod encode;
mod error;
mod fanout;
mod ffi;
mod mux;
mod output;
mod paths;
mod probe;
mod progress;
mod resource_usage;
mod stage;
mod time;
mod transcode;
mod verify;
mod video;

pub use cancel::Cancel;
pub use video::still_images::Images;

use demux::broken_off::broken_off;
use demux::{asf, encryption, mp4};
use domain::plan::PlannedOutput;
use domain::probe::Stream;
use domain::protocol::{Checked, Depth, Made, Progress, Report};
use domain::{Failure, Plan, Probe};
use std::fs::File;
use std::path::Path;

/// Readies FFmpeg: error texts, and logs that stay short. To be called once, before anything else here.
pub fn init() {
    // It only fills tables; the result is always `Ok`.
    let _ = ffmpeg_next::init();
    ffi::log::limit_log();
    ffi::log::quiet_encoders();
}

/// Reads the facts of a source.
///
/// # Errors
/// [`domain::Code::NotMedia`] when no allowed demuxer opens it, [`domain::Code::SourceDamaged`] when one does and fails,
/// [`domain::Code::SourceEncrypted`] when its pictures or its sound are encrypted.
pub fn probe(source: &File, cancel: &Cancel) -> Result<Probe, Failure> {
    encryption::refuse_encrypted(source)?;
    let bytes = source.metadata().map_or(0, |metadata| metadata.len());
    let mut input = demux::open::open_source(source, cancel)?;
    let mut probe = probe::read(&mut input, bytes, cancel)?;
    if probe.container.starts_with("mov") {
        let counts = mp4::sample_description_counts(source).unwrap_or_default();
        for (stream, _) in probe.streams.iter_mut().zip(counts).filter(|(_, count)| *count > 1) {
            stream.set_changes();
        }
    }
    if probe.container == "asf" {
        let header_us = asf::header_duration_us(source).unwrap_or(0);
        if header_us > probe.duration_us {
            // It breaks off: where its streams would have ended nobody knows.
            probe.duration_us = header_us;
            probe.streams.iter_mut().for_each(Stream::forget_end);
        }
    }
    if let Some(broken) = broken_off(&probe.container, source).filter(|broken| broken.length_us > probe.duration_us) {
        probe.duration_us = broken.length_us;
        probe.streams.iter_mut().for_each(Stream::forget_end);
    }
    Ok(probe)
}

/// What outputs are made from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
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
    inputs: &Inputs<'_>,
    plan: &Plan,
    scratch: &Path,
    threads: u32,
    progress: &mut dyn FnMut(Progress),
    cancel: &Cancel,
) -> Result<Report, Failure> {
    transcode::run(
        &context::TranscodeContext {
            sources: inputs.sources,
            images: inputs.images,
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
    verify::run(scratch, planned, made, depth, cancel)
}
