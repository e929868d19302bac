//! Reads facts from media, obeys a [`Plan`], and looks at what came out. It decides nothing that a plan decides.
//!
//! A source is only ever an open file; outputs are only ever files directly below `scratch`.

mod av;
mod cadence;
mod cancel;
mod facts;
mod fault;
mod input;
mod measure;

pub use cancel::Cancel;

use domain::protocol::{Checked, Progress, Report};
use domain::{Code, Failure, FailureKind, Plan, Probe};
use std::fs::File;
use std::path::Path;

/// Readies FFmpeg: error texts, and logs that stay short. To be called once, before anything else here.
pub fn init() {
    // It only fills tables; the result is always `Ok`.
    let _ = ffmpeg_next::init();
    av::quiet_logs();
}

fn later() -> Failure {
    Failure::new(FailureKind::MediaCrash, Code::Internal, "not built yet")
}

/// Reads the facts of a source.
///
/// # Errors
/// [`Code::NotMedia`] when no allowed demuxer opens it, [`Code::SourceDamaged`] when one does and fails.
pub fn probe(source: &File, cancel: &Cancel) -> Result<Probe, Failure> {
    let bytes = source.metadata().map_or(0, |metadata| metadata.len());
    let mut input = input::open_source(source, cancel)?;
    facts::read(&mut input, bytes, cancel)
}

/// Makes every output of the plan in `scratch`, decoding the source once.
///
/// # Errors
/// [`Code::SourceDamaged`] when no picture or sound could be read, [`Code::StorageFull`] when the disk is full.
pub fn transcode(
    _source: &File,
    _plan: &Plan,
    _scratch: &Path,
    _threads: u32,
    _progress: &mut dyn FnMut(Progress),
    _cancel: &Cancel,
) -> Result<Report, Failure> {
    Err(later())
}

/// Opens a finished file again and reads what a player would find.
///
/// # Errors
/// [`Code::OutputInvalid`] when it cannot be opened.
pub fn verify(_scratch: &Path, _file: &str, _cancel: &Cancel) -> Result<Checked, Failure> {
    Err(later())
}
