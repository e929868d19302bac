//! The media engine: probes sources, executes a [`Plan`] with FFmpeg and verifies the outputs. All decisions about an
//! output are made in the plan, not here. A source is an open file, never a path or URL; outputs are files directly
//! below `scratch`.
//!
//! # Pipeline
//!
//! ```text
//! demux -> decode -> fan-out -+-> compose and scale -> encode -> mux      one thread per output
//!                             +-> compose and scale -> encode -> mux
//!                             +-> copied packets ------------> mux
//! ```
//!
//! One thread reads and decodes the source once; every output has a thread of its own, which takes frames, samples and
//! packets from a bounded channel. `transcode.rs` starts these threads. The outputs are verified by another request, in
//! another process.
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
//! Beside them: `context` (values that stages share), `file_bytes` (positioned reads), `time`, `paths`, `error`,
//! `cancel`, `progress`, `stage` (detects stages that hang), `resource_usage`, `shortage` (of the machine).
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
mod file_bytes;
mod mux;
mod output;
mod paths;
mod probe;
mod progress;
mod resource_usage;
pub(crate) mod shortage;
mod stage;
mod time;
mod transcode;
mod verify;
mod video;

pub use cancel::Cancel;
pub use video::still_images::Images;

use demux::container::is_mp4;
use demux::open::OpenedSource;
use demux::{early_times, encryption, mp4, stated_length};
use domain::plan::PlannedOutput;
use domain::probe::Stream;
use domain::protocol::{OutputFacts, OutputReport, Progress, TranscodeReport, VerifyDepth};
use domain::{Failure, Plan, Probe};
use ffmpeg_next::codec;
use std::fs::File;
use std::path::Path;

/// Initializes FFmpeg, limits its log, and lets a crash tell if the machine lacks memory. Call it once, before any
/// other function of this module.
pub fn init() {
    // Fills the table of error texts; the result is always `Ok`.
    let _ = ffmpeg_next::init();
    ffi::log::limit_log();
    ffi::log::quiet_encoders();
    ffi::end_signals::look_before_end(shortage::check_memory);
}

/// Lets the most frequent decoders fill their static tables, which each child of the fork server then has.
pub fn fill_decoder_tables() {
    for id in [codec::Id::H264, codec::Id::AAC] {
        let Some(found) = codec::decoder::find(id) else {
            continue;
        };
        // Without a header, a decoder may refuse to open after it has filled its tables.
        let _ = codec::Context::new_with_codec(found).decoder().open();
    }
}

/// Probes a source: reads container, streams, duration, frame rate and keyframes.
///
/// # Errors
/// [`domain::Code::NotMedia`] when no allowed demuxer opens the file, [`domain::Code::SourceDamaged`] when one does and
/// fails, [`domain::Code::SourceEncrypted`] when its video or audio is encrypted.
pub fn probe(source: &File, cancel: &Cancel) -> Result<Probe, Failure> {
    encryption::refuse_encrypted(source)?;
    let bytes = file_bytes::length(source);
    let OpenedSource { mut input, structure } = demux::open::open_source(source, cancel)?;
    let mut probe = probe::read(&mut input, bytes, cancel)?;
    if is_mp4(&probe.container) {
        let counts = mp4::sample_description_counts(source).unwrap_or_default();
        for (stream, _) in probe.streams.iter_mut().zip(counts).filter(|(_, count)| *count > 1) {
            stream.set_changes();
        }
    }
    // Timestamps before 0 are known only if packets are read from the first one on.
    probe.jumps |= !early_times::find(source, &input).is_empty();
    let stated_us = stated_length::find(&probe.container, source, &structure, cancel).length_us;
    if stated_us > probe.duration_us {
        // The length of the whole file is known, but not the ends of its streams.
        probe.duration_us = stated_us;
        probe.streams.iter_mut().for_each(Stream::forget_end);
    }
    Ok(probe)
}

/// Files and images that a plan refers to.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The source, then the clips of intro and outro.
    pub sources: &'a [File],
    /// The images that the plan names, except for the built-in one.
    pub images: &'a Images,
}

/// Renders all outputs of the plan into `scratch` and decodes the source once for all of them.
///
/// `threads` is the number of threads per codec; 0 leaves it to FFmpeg. `progress` is called on the calling thread, at
/// most every half second, and at the end with 100 percent.
///
/// # Errors
/// [`domain::Code::SourceDamaged`] when no frame or no samples could be decoded, [`domain::Code::StorageFull`] when the
/// disk is full, [`domain::Code::Unavailable`] when `cancel` was set.
#[allow(clippy::too_many_arguments, reason = "six parameters of six different types")]
pub fn transcode(
    inputs: &Inputs<'_>,
    plan: &Plan,
    scratch: &Path,
    threads: u32,
    progress: &mut dyn FnMut(Progress),
    cancel: &Cancel,
) -> Result<TranscodeReport, Failure> {
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

/// Verifies a finished output: opens it as a player does, measures its properties and decodes as much as `depth` says.
/// Audio is decoded where the encoder reported the audio peak.
///
/// # Errors
/// [`domain::Code::OutputInvalid`] when it cannot be opened or read.
pub fn verify(
    scratch: &Path,
    planned: &PlannedOutput,
    report: &OutputReport,
    depth: VerifyDepth,
    cancel: &Cancel,
) -> Result<OutputFacts, Failure> {
    verify::run(scratch, planned, report, depth, cancel)
}
