//! The one word of FFmpeg's fragmented MP4 that ffmpeg-next does not say.
#![allow(unsafe_code, reason = "a leaf module around one call; its block tells why it holds")]

use ffmpeg_next::format::context::Output;
use ffmpeg_next::{Error, ffi};

/// Ends the fragment that is being written; the first time, it only writes the initialization.
pub(in crate::engine) fn fragment(output: &mut Output) -> Result<(), Error> {
    // SAFETY: an `Output` owns a live context whose header is written; no packet means "flush" to a muxer.
    match unsafe { ffi::av_write_frame(output.as_mut_ptr(), std::ptr::null_mut()) } {
        error if error < 0 => Err(Error::from(error)),
        _ => Ok(()),
    }
}
