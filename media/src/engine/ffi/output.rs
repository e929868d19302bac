//! Muxer calls that ffmpeg-next lacks: the `hvc1` tag, and the end of an MP4 fragment.

use ffmpeg_next::codec::Id;
use ffmpeg_next::format::context::Output;
use ffmpeg_next::format::stream::StreamMut;
use ffmpeg_next::{Error, ffi};

/// Tags HEVC as `hvc1`, which means that parameter sets are in the sample entry only (ISO/IEC 14496-15). Apple players
/// reject `hev1`, FFmpeg's default. Other codecs are left alone.
pub(crate) fn set_hvc1_tag(stream: &mut StreamMut<'_>) {
    // SAFETY: a stream owns live codec parameters; the tag is a plain number that the muxer looks up.
    unsafe {
        let parameters = (*stream.as_mut_ptr()).codecpar;
        if Id::from((*parameters).codec_id) == Id::HEVC {
            (*parameters).codec_tag = u32::from_le_bytes(*b"hvc1");
        }
    }
}

/// Ends the current MP4 fragment. The first call writes only the initialization section (`ftyp` and `moov`).
pub(crate) fn flush_fragment(output: &mut Output) -> Result<(), Error> {
    // SAFETY: an `Output` owns a live context whose header is written; a null packet means "flush".
    match unsafe { ffi::av_write_frame(output.as_mut_ptr(), std::ptr::null_mut()) } {
        error if error < 0 => Err(Error::from(error)),
        _ => Ok(()),
    }
}
