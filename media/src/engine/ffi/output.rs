//! Muxer calls that ffmpeg-next lacks: the codec tag of HEVC, and the end of an MP4 fragment.

use ffmpeg_next::codec::Id;
use ffmpeg_next::format::context::Output;
use ffmpeg_next::format::stream::StreamMut;
use ffmpeg_next::{Error, ffi};

/// Marks H.265 as `hvc1`, its parameter sets in the header alone: Apple's players take no other (ISO/IEC 14496-15).
pub(crate) fn tag_for_players(stream: &mut StreamMut<'_>) {
    // SAFETY: a stream owns live codec parameters; the tag is a plain number that the muxer looks up.
    unsafe {
        let parameters = (*stream.as_mut_ptr()).codecpar;
        if Id::from((*parameters).codec_id) == Id::HEVC {
            (*parameters).codec_tag = u32::from_le_bytes(*b"hvc1");
        }
    }
}

/// Ends the fragment that is being written; the first time, it only writes the initialization.
pub(crate) fn flush_fragment(output: &mut Output) -> Result<(), Error> {
    // SAFETY: an `Output` owns a live context whose header is written; no packet means "flush" to a muxer.
    match unsafe { ffi::av_write_frame(output.as_mut_ptr(), std::ptr::null_mut()) } {
        error if error < 0 => Err(Error::from(error)),
        _ => Ok(()),
    }
}
