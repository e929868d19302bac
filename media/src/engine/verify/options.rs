//! Parameters of the verification of one output.

use crate::engine::cancel::Cancel;
use domain::protocol::{OutputReport, VerifyDepth};

/// Parameters of the verification of one output.
#[derive(Clone, Copy)]
pub(crate) struct VerifyOptions<'a> {
    /// The report of the child that wrote the output. It says which measurements to take: the time of the audio peak
    /// and the streams with digests.
    pub(crate) report: &'a OutputReport,
    /// The part of the output that is decoded.
    pub(crate) depth: VerifyDepth,
    pub(crate) cancel: &'a Cancel,
}
