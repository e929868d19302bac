//! The few words of FFmpeg about what is written that ffmpeg-next does not say. As in [`super::av`], nothing decides.
#![allow(
    unsafe_code,
    reason = "a leaf module around plain C fields; each block tells why it holds"
)]

use ffmpeg_next::codec::Id;
use ffmpeg_next::format::stream::StreamMut;

/// Marks H.265 as `hvc1`, its parameter sets in the header alone: Apple's players take no other (ISO/IEC 14496-15).
pub(super) fn tag_for_players(stream: &mut StreamMut<'_>) {
    // SAFETY: a stream owns live codec parameters; the tag is a plain number that the muxer looks up.
    unsafe {
        let parameters = (*stream.as_mut_ptr()).codecpar;
        if Id::from((*parameters).codec_id) == Id::HEVC {
            (*parameters).codec_tag = u32::from_le_bytes(*b"hvc1");
        }
    }
}

/// Lets SVT-AV1, which has a log of its own, tell errors only.
pub(super) fn quiet_encoders() {
    // SAFETY: called before anything of FFmpeg runs, so that no C code reads the environment at the same time; Rust
    // locks its own accesses.
    unsafe { std::env::set_var("SVT_LOG", "1") };
}
