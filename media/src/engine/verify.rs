//! Verification of finished outputs: opens them as a player does and measures their properties.
//!
//! *Problem.* Encoders and muxers can write files that are truncated, damaged, silent or not playable without reporting
//! an error, and storage can damage files after they were written.
//!
//! *Mechanism.* A child that has never seen the source opens each output, reads all of its packets, decodes the first
//! and the last GOP (or everything, see [`VerifyDepth`]), and returns measurements. It decides nothing:
//! [`domain::plan::verify`] compares the measurements with the plan and the report in the worker.
//!
//! - [`mod@file`]: a file with one container. Frame count, keyframes, decode errors, digests of copied packets.
//! - [`peak_check`]: decodes audio where the encoder reported the audio peak; silence there is an error.
//! - [`hls`]: the playlists and every segment of an adaptive stream.
//! - [`sprite`]: the sheets and the index of a sprite.
//!
//! *Rejected.* Decoding every output completely takes about as long as a fast encode; it is optional.

pub(crate) mod file;
pub(crate) mod hls;
pub(crate) mod options;
pub(crate) mod peak_check;
pub(crate) mod sprite;

use crate::engine::cancel::Cancel;
use crate::engine::error::invalid_output;
use crate::engine::verify::options::VerifyOptions;
use domain::plan::{Content, PlannedOutput};
use domain::protocol::{OutputFacts, OutputReport, VerifyDepth};
use domain::{Failure, FailureClass};
use std::path::Path;

/// Measures one output.
///
/// # Errors
/// [`domain::Code::OutputInvalid`] if it cannot be opened or read, or if its files contradict each other.
pub(crate) fn run(
    scratch: &Path,
    planned: &PlannedOutput,
    report: &OutputReport,
    depth: VerifyDepth,
    cancel: &Cancel,
) -> Result<OutputFacts, Failure> {
    let options = VerifyOptions { report, depth, cancel };
    let checked = match &planned.content {
        Content::Hls(hls) => hls::check_hls(scratch, &planned.file, hls, &options).map(OutputFacts::Hls),
        Content::Sprite { .. } => sprite::check_sprite(scratch, &planned.file, cancel).map(OutputFacts::Sprite),
        _ => file::check_file(scratch, &planned.file, &options).map(OutputFacts::File),
    };
    checked.map_err(|failure| match failure.class() {
        // The demuxers and decoders report a damaged source; here the damaged file is an output.
        FailureClass::Input | FailureClass::Unsupported => invalid_output(&planned.file, &failure.detail),
        FailureClass::Infrastructure
        | FailureClass::ResourceLimit
        | FailureClass::MediaCrash
        | FailureClass::WorkerCrash
        | FailureClass::Postponed => failure,
    })
}
