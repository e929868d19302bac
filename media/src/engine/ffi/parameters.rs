//! Codec parameters of a stream, and the decoder for them.

use crate::engine::ffi::frame::{ColorNumbers, pixel_format};
use ffmpeg_next::codec::Parameters;
use ffmpeg_next::{Codec, ffi};
use std::ffi::{CStr, c_int};

/// Length of a STREAMINFO block.
const STREAMINFO_BYTES: c_int = 34;

/// Properties of a stream from its codec parameters (`AVCodecParameters`), read without decoding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CodecFacts {
    pub(crate) kind: MediaType,
    /// FFmpeg's short name, such as `h264`; `none` when unknown.
    pub(crate) name: &'static str,
    pub(crate) width_px: u32,
    pub(crate) height_px: u32,
    /// `AVPixelFormat` or `AVSampleFormat`; -1 when unknown.
    pub(crate) format: c_int,
    /// Sample aspect ratio of the bitstream, width to height of a pixel; numerator 0 if unknown.
    pub(crate) sample_aspect: (c_int, c_int),
    pub(crate) color: ColorNumbers,
    pub(crate) interlaced: bool,
    /// `true` if the field order, and so `interlaced`, is known.
    pub(crate) field_order_known: bool,
    /// Number of frames that the decoder delays to reorder them for presentation (`video_delay`).
    pub(crate) reorder_delay: u32,
    pub(crate) sample_rate_hz: u32,
    /// Number of samples at the start that the encoder added and players skip; 0 if the container does not specify it.
    pub(crate) initial_padding: u32,
    /// Samples per audio packet; 0 if not constant or unknown.
    pub(crate) frame_samples: u32,
    pub(crate) channels: u32,
    /// Profile, numbered by the codec; negative if unknown.
    pub(crate) profile: c_int,
    /// Level, numbered by the codec; negative if unknown.
    pub(crate) level: c_int,
    /// Average bit rate in bits per second; 0 if unknown.
    pub(crate) bitrate_bps: u64,
    /// First byte of the extradata, if any. For H.264 and HEVC, 1 is the version of an `avcC` or `hvcC` record, which
    /// means that NAL units have length prefixes.
    pub(crate) extradata_first_byte: Option<u8>,
}

impl CodecFacts {
    /// Size of a decoded frame in bytes; two bytes per pixel are assumed if the pixel format is unknown.
    pub(crate) fn frame_bytes(&self) -> u64 {
        let side = |px: u32| c_int::try_from(px).unwrap_or(c_int::MAX);
        let known = pixel_format(self.format).map(|_| {
            // SAFETY: `pixel_format` has checked that the number is a value of the enum. The function only computes,
            // and returns an error if the size overflows.
            unsafe {
                let format = std::mem::transmute::<c_int, ffi::AVPixelFormat>(self.format);
                ffi::av_image_get_buffer_size(format, side(self.width_px), side(self.height_px), 1)
            }
        });
        let known = known.and_then(|bytes| u64::try_from(bytes).ok());
        known.unwrap_or(2 * u64::from(self.width_px) * u64::from(self.height_px))
    }
}

/// Media type of a stream (`AVMediaType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MediaType {
    Video,
    Audio,
    Subtitle,
    Attachment,
    Data,
}

/// Reads the properties of a stream from its codec parameters.
pub(crate) fn codec_facts(parameters: &Parameters) -> CodecFacts {
    let positive = |n: c_int| u32::try_from(n).unwrap_or(0);
    // SAFETY: `Parameters` always points to live codec parameters. Enums are read as integers because a file may hold
    // values that the bindings do not know. FFmpeg's names are static strings.
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
            reorder_delay: positive((*p).video_delay),
            sample_rate_hz: positive((*p).sample_rate),
            initial_padding: positive((*p).initial_padding),
            frame_samples: positive((*p).frame_size),
            channels: positive((*p).ch_layout.nb_channels),
            profile: (*p).profile,
            level: (*p).level,
            bitrate_bps: u64::try_from((*p).bit_rate).unwrap_or(0),
            extradata_first_byte: ((*p).extradata_size > 0)
                .then(|| (*p).extradata.as_ref().copied())
                .flatten(),
        }
    }
}

/// Copies the extradata: the decoder configuration of the container, such as `avcC`; empty if there is none.
pub(crate) fn extradata(parameters: &Parameters) -> Vec<u8> {
    // SAFETY: the codec parameters are live; extradata is null (checked) or valid for its size.
    unsafe {
        let p = parameters.as_ptr();
        let size = usize::try_from((*p).extradata_size).unwrap_or(0);
        if (*p).extradata.is_null() {
            return Vec::new();
        }
        std::slice::from_raw_parts((*p).extradata, size).to_vec()
    }
}

/// Raises the maximum block size in the STREAMINFO block of FLAC (RFC 9639 §8.2) to the largest there is: FFmpeg has
/// that of the first of several joined files, and decodes no larger block.
pub(crate) fn allow_any_flac_block(parameters: &mut Parameters) {
    // SAFETY: live codec parameters, as above, that own their extradata, which is null or valid for its size.
    unsafe {
        let p = parameters.as_mut_ptr();
        if !(*p).extradata.is_null() && (*p).extradata_size == STREAMINFO_BYTES {
            (*p).extradata.add(2).cast::<[u8; 2]>().write([0xff; 2]);
        }
    }
}

/// FFmpeg's default decoder for a codec.
pub(crate) fn decoder_for(parameters: &Parameters) -> Option<Codec> {
    // SAFETY: the codec parameters are live; a codec is static, and null is checked.
    unsafe {
        let codec = ffi::avcodec_find_decoder((*parameters.as_ptr()).codec_id);
        (!codec.is_null()).then(|| Codec::wrap(codec))
    }
}
