//! Verifies finished outputs: opens them again and reads what a player would find.

pub(crate) mod file;
pub(crate) mod hls;
pub(crate) mod peak_check;
pub(crate) mod sprite;

use crate::engine::cancel::Cancel;
use crate::engine::error::invalid_output;
use domain::plan::{Content, PlannedOutput};
use domain::protocol::{Checked, Depth, Made};
use domain::{Failure, FailureKind};
use std::path::Path;

/// Verifies one output by its kind.
pub(crate) fn run(
    scratch: &Path,
    planned: &PlannedOutput,
    made: &Made,
    depth: Depth,
    cancel: &Cancel,
) -> Result<Checked, Failure> {
    let checked = match &planned.content {
        Content::Hls(hls) => hls::check_hls(scratch, (&planned.file, hls), made, depth, cancel).map(Checked::Hls),
        Content::Sprite { .. } => sprite::check_sprite(scratch, &planned.file, cancel).map(Checked::Sprite),
        _ => file::check_file(scratch, &planned.file, made, depth, cancel).map(Checked::File),
    };
    checked.map_err(|failure| match failure.kind {
        // What would be the fault of a source is ours here.
        FailureKind::Input | FailureKind::Unsupported => invalid_output(&planned.file, &failure.detail),
        FailureKind::Infrastructure
        | FailureKind::Transfer
        | FailureKind::ResourceLimit
        | FailureKind::MediaCrash
        | FailureKind::Postponed => failure,
    })
}
