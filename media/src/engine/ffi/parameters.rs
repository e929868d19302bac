//! Codec parameters of a stream, and the decoder for them.

use crate::engine::ffi::frame::{ColorNumbers, pixel_format};
use ffmpeg_next::codec::Parameters;
use ffmpeg_next::{Codec, ffi};
use std::ffi::{CStr, c_int};

/// Length of a STREAMINFO block.
const STREAMINFO_BYTES: c_int = 34;

/// Facts of a stream's codec that need no decoding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CodecFacts {
    pub(crate) kind: MediaType,
    /// FFmpeg's short name, such as `h264`; `none` when unknown.
    pub(crate) name: &'static str,
    pub(crate) width_px: u32,
    pub(crate) height_px: u32,
    /// `AVPixelFormat` or `AVSampleFormat`; -1 when unknown.
    pub(crate) format: c_int,
    /// Width to height of a pixel; a zero when unknown.
    pub(crate) sample_aspect: (c_int, c_int),
    pub(crate) color: ColorNumbers,
    pub(crate) interlaced: bool,
    /// Whether the field order is known at all.
    pub(crate) field_order_known: bool,
    /// How many pictures the decoder holds back to bring them into the order of showing.
    pub(crate) held_back: u32,
    pub(crate) sample_rate_hz: u32,
    /// Samples that an encoder put before the sound, where the container tells.
    pub(crate) initial_padding: u32,
    /// Samples of a packet of sound; 0 when they differ or are unknown.
    pub(crate) frame_samples: u32,
    pub(crate) channels: u32,
    /// The codec's own number of its profile; negative when unknown.
    pub(crate) profile: c_int,
    /// The codec's own number of its level; negative when unknown.
    pub(crate) level: c_int,
    /// Bits per second on average; 0 when unknown.
    pub(crate) bitrate_bps: u64,
    /// First byte of the decoder's configuration, when the container has one.
    pub(crate) configuration: Option<u8>,
}

impl CodecFacts {
    /// Bytes of a decoded picture; at two bytes a pixel where the format is unknown.
    pub(crate) fn frame_bytes(&self) -> u64 {
        let side = |px: u32| c_int::try_from(px).unwrap_or(c_int::MAX);
        let known = pixel_format(self.format).map(|_| {
            // SAFETY: the number is one of a pixel format, as was just looked up; the function only computes, and answers
            // with an error when the size overflows.
            unsafe {
                let format = std::mem::transmute::<c_int, ffi::AVPixelFormat>(self.format);
                ffi::av_image_get_buffer_size(format, side(self.width_px), side(self.height_px), 1)
            }
        });
        let known = known.and_then(|bytes| u64::try_from(bytes).ok());
        known.unwrap_or(2 * u64::from(self.width_px) * u64::from(self.height_px))
    }
}

/// What a stream carries, as FFmpeg sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MediaType {
    Video,
    Audio,
    Subtitle,
    Attachment,
    Data,
}

/// Reads the facts of a stream's codec.
pub(crate) fn codec_facts(parameters: &Parameters) -> CodecFacts {
    let positive = |n: c_int| u32::try_from(n).unwrap_or(0);
    // SAFETY: `Parameters` always points to live codec parameters; the enums are read as numbers because a file may
    // have put values there that the bindings do not know; FFmpeg's names are static strings.
    unsafe {
        let p = parameters.as_ptr();
        let order = (&raw const (*p).field_order).cast::<c_int>().read();
        let kind = match (&raw const (*p).codec_type).cast::<c_int>().read() {
            0 => MediaType::Video,
            1 => MediaType::Audio,
            3 => MediaType::Subtitle,
            4 => MediaType::Attachment,
            _ => MediaType::Data,
        };
        CodecFacts {
            kind,
            name: CStr::from_ptr(ffi::avcodec_get_name((*p).codec_id))
                .to_str()
                .unwrap_or("none"),
            width_px: positive((*p).width),
            height_px: positive((*p).height),
            format: (*p).format,
            sample_aspect: ((*p).sample_aspect_ratio.num, (*p).sample_aspect_ratio.den),
            color: ColorNumbers {
                primaries: (&raw const (*p).color_primaries).cast::<c_int>().read(),
                transfer: (&raw const (*p).color_trc).cast::<c_int>().read(),
                matrix: (&raw const (*p).color_space).cast::<c_int>().read(),
                range: (&raw const (*p).color_range).cast::<c_int>().read(),
            },
            interlaced: (2..=5).contains(&order),
            field_order_known: order != 0,
            held_back: positive((*p).video_delay),
            sample_rate_hz: positive((*p).sample_rate),
            initial_padding: positive((*p).initial_padding),
            frame_samples: positive((*p).frame_size),
            channels: positive((*p).ch_layout.nb_channels),
            profile: (*p).profile,
            level: (*p).level,
            bitrate_bps: u64::try_from((*p).bit_rate).unwrap_or(0),
            configuration: ((*p).extradata_size > 0)
                .then(|| (*p).extradata.as_ref().copied())
                .flatten(),
        }
    }
}

/// The decoder's configuration as the container has it; empty when it has none.
pub(crate) fn configuration(parameters: &Parameters) -> Vec<u8> {
    // SAFETY: live codec parameters, as above, whose extradata is null or valid for its size.
    unsafe {
        let p = parameters.as_ptr();
        let size = usize::try_from((*p).extradata_size).unwrap_or(0);
        if (*p).extradata.is_null() {
            return Vec::new();
        }
        std::slice::from_raw_parts((*p).extradata, size).to_vec()
    }
}

/// Raises the maximum block size in the STREAMINFO block of FLAC (RFC 9639 §8.2) to the largest there is: FFmpeg has that of the first of
/// several joined files, and decodes no larger block.
pub(crate) fn allow_any_flac_block(parameters: &mut Parameters) {
    // SAFETY: live codec parameters, as above, that own their extradata, which is null or valid for its size.
    unsafe {
        let p = parameters.as_mut_ptr();
        if !(*p).extradata.is_null() && (*p).extradata_size == STREAMINFO_BYTES {
            (*p).extradata.add(2).cast::<[u8; 2]>().write([0xff; 2]);
        }
    }
}

/// The decoder that FFmpeg prefers for a codec.
pub(crate) fn decoder_for(parameters: &Parameters) -> Option<Codec> {
    // SAFETY: live codec parameters, as above; a codec found is static, and wrapped only when there is one.
    unsafe {
        let codec = ffi::avcodec_find_decoder((*parameters.as_ptr()).codec_id);
        (!codec.is_null()).then(|| Codec::wrap(codec))
    }
}
