//! Reads packets and tolerates single read errors.

use crate::engine::cancel::Cancel;
use domain::Failure;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Error, Packet};

/// Read errors in a row that are taken for hiccups of a damaged file; after that it is over.
pub(crate) const MAX_READ_ERRORS: u32 = 64;

/// Reads the next packet; `None` at the end, or when errors do not stop.
///
/// # Errors
/// When the work is canceled.
pub(crate) fn next_packet(input: &mut Input, cancel: &Cancel) -> Result<Option<Packet>, Failure> {
    for _ in 0..MAX_READ_ERRORS {
        cancel.check()?;
        let mut packet = Packet::empty();
        match packet.read(input) {
            Ok(()) => {
                cancel.count();
                return Ok(Some(packet));
            }
            Err(Error::Eof) => return Ok(None),
            Err(_) => {}
        }
    }
    Ok(None)
}
