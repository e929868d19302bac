//! Reads packets. A demuxer usually resynchronizes after a read error in a damaged file, so single errors are ignored.

use crate::engine::cancel::Cancel;
use crate::engine::shortage;
use domain::Failure;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Error, Packet};

/// Consecutive read errors after which the file counts as ended.
pub(crate) const MAX_READ_ERRORS: u32 = 64;

/// Reads the next packet; `None` at the end of the file or after [`MAX_READ_ERRORS`].
///
/// # Errors
/// [`domain::Code::Unavailable`] if the work is canceled.
pub(crate) fn next_packet(input: &mut Input, cancel: &Cancel) -> Result<Option<Packet>, Failure> {
    for _ in 0..MAX_READ_ERRORS {
        cancel.check()?;
        let mut packet = Packet::empty();
        match packet.read(input) {
            Ok(()) => {
                cancel.count_packet();
                return Ok(Some(packet));
            }
            Err(Error::Eof) => return Ok(None),
            Err(error) => shortage::check_error(error),
        }
    }
    Ok(None)
}
