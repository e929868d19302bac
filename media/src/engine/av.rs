//! The few words of FFmpeg that ffmpeg-next does not say safely. Nothing here decides; each function reads or sets
//! one thing.
#![allow(
    unsafe_code,
    reason = "a leaf module around plain C fields; each block tells why it holds"
)]

pub(super) mod alpha;
pub(super) mod logs;
pub(super) mod opening;
pub(super) mod packets;

use ffmpeg_next::codec::Parameters;
use ffmpeg_next::error::ENOMEM;
use ffmpeg_next::ffi;
use ffmpeg_next::filter::Graph;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Stream;
use ffmpeg_next::format::{Pixel, Sample};
use ffmpeg_next::frame::{Audio, Video};
use ffmpeg_next::{ChannelLayout, Codec};
use ffmpeg_next::{Error, Frame};
use std::ffi::{CStr, c_int};

/// Facts of a stream's codec that need no decoding.
#[derive(Clone, Copy, Debug)]
pub(super) struct CodecFacts {
    pub(super) kind: Kind,
    /// FFmpeg's short name, such as `h264`; `none` when unknown.
    pub(super) name: &'static str,
    pub(super) width_px: u32,
    pub(super) height_px: u32,
    /// `AVPixelFormat` or `AVSampleFormat`; -1 when unknown.
    pub(super) format: c_int,
    /// Width to height of a pixel; a zero when unknown.
    pub(super) sample_aspect: (c_int, c_int),
    pub(super) color: ColorNumbers,
    pub(super) interlaced: bool,
    /// Whether the field order is known at all.
    pub(super) field_order_known: bool,
    /// How many pictures the decoder holds back to bring them into the order of showing.
    pub(super) held_back: u32,
    pub(super) sample_rate_hz: u32,
    /// Samples that an encoder put before the sound, where the container tells.
    pub(super) initial_padding: u32,
    /// Samples of a packet of sound; 0 when they differ or are unknown.
    pub(super) frame_samples: u32,
    pub(super) channels: u32,
    /// The codec's own number of its profile; negative when unknown.
    pub(super) profile: c_int,
    /// The codec's own number of its level; negative when unknown.
    pub(super) level: c_int,
    /// Bits per second on average; 0 when unknown.
    pub(super) bitrate_bps: u64,
    /// First byte of the decoder's configuration, when the container has one.
    pub(super) configuration: Option<u8>,
}

impl CodecFacts {
    /// Bytes of a decoded picture; at two bytes a pixel where the format is unknown.
    pub(super) fn picture_bytes(&self) -> u64 {
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
pub(super) enum Kind {
    Video,
    Audio,
    Subtitle,
    Attachment,
    Data,
}

/// Numbers of ITU-T H.273 for primaries, transfer and matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ColorNumbers {
    pub(super) primaries: c_int,
    pub(super) transfer: c_int,
    pub(super) matrix: c_int,
    /// `AVColorRange`: 1 limited, 2 full.
    pub(super) range: c_int,
}

impl ColorNumbers {
    /// Returns `true` when primaries, transfer or matrix are specified: 2 means "unspecified" (ITU-T H.273 §8).
    pub(super) fn is_told(self) -> bool {
        [self.primaries, self.transfer, self.matrix]
            .iter()
            .any(|number| *number != 2)
    }

    /// These numbers where they are specified, else those of `other`. The range is chosen by itself: 0 means unspecified.
    pub(super) fn or(self, other: Self) -> Self {
        let color = if self.is_told() { self } else { other };
        let range = if self.range == 0 { other.range } else { self.range };
        Self { range, ..color }
    }
}

/// Reads the facts of a stream's codec.
pub(super) fn codec_facts(parameters: &Parameters) -> CodecFacts {
    let positive = |n: c_int| u32::try_from(n).unwrap_or(0);
    // SAFETY: `Parameters` always points to live codec parameters; the enums are read as numbers because a file may
    // have put values there that the bindings do not know; FFmpeg's names are static strings.
    unsafe {
        let p = parameters.as_ptr();
        let order = (&raw const (*p).field_order).cast::<c_int>().read();
        let kind = match (&raw const (*p).codec_type).cast::<c_int>().read() {
            0 => Kind::Video,
            1 => Kind::Audio,
            3 => Kind::Subtitle,
            4 => Kind::Attachment,
            _ => Kind::Data,
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
pub(super) fn configuration(parameters: &Parameters) -> Vec<u8> {
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

/// The decoder that FFmpeg prefers for a codec.
pub(super) fn decoder_for(parameters: &Parameters) -> Option<Codec> {
    // SAFETY: live codec parameters, as above; a codec found is static, and wrapped only when there is one.
    unsafe {
        let codec = ffi::avcodec_find_decoder((*parameters.as_ptr()).codec_id);
        (!codec.is_null()).then(|| Codec::wrap(codec))
    }
}

/// Name and bits per component of a pixel format; `None` for a number that is none.
pub(super) fn pixel_format(format: c_int) -> Option<(&'static str, u8)> {
    // SAFETY: both lookups accept any number in the range of the enum, which the descriptor table bounds; the number
    // is checked against the table before it becomes an enum value, and descriptors and names are static.
    unsafe {
        if format < 0 || format >= ffi::AVPixelFormat::AV_PIX_FMT_NB as c_int {
            return None;
        }
        let descriptor = ffi::av_pix_fmt_desc_get(std::mem::transmute::<c_int, ffi::AVPixelFormat>(format)).as_ref()?;
        let name = CStr::from_ptr(descriptor.name).to_str().ok()?;
        Some((name, u8::try_from(descriptor.comp.first()?.depth).unwrap_or(8)))
    }
}

/// Size, pixels and color of a decoded picture: what a filter graph is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) width_px: c_int,
    pub(super) height_px: c_int,
    pub(super) format: c_int,
    /// Width to height of a pixel; a zero when unknown.
    pub(super) sample_aspect: (c_int, c_int),
    pub(super) color: ColorNumbers,
}

/// Reads the shape of a picture.
pub(super) fn shape(frame: &Video) -> Shape {
    // SAFETY: a `Video` always owns a live frame; enums are read as numbers, as above.
    unsafe {
        let f = frame.as_ptr();
        Shape {
            width_px: (*f).width,
            height_px: (*f).height,
            format: (*f).format,
            sample_aspect: ((*f).sample_aspect_ratio.num, (*f).sample_aspect_ratio.den),
            color: ColorNumbers {
                primaries: (&raw const (*f).color_primaries).cast::<c_int>().read(),
                transfer: (&raw const (*f).color_trc).cast::<c_int>().read(),
                matrix: (&raw const (*f).colorspace).cast::<c_int>().read(),
                range: (&raw const (*f).color_range).cast::<c_int>().read(),
            },
        }
    }
}

/// Forgets the shape of the pixels that a picture tells.
pub(super) fn forget_aspect(picture: &mut Video) {
    // SAFETY: writes one plain field of a live frame.
    unsafe { (*picture.as_mut_ptr()).sample_aspect_ratio = ffi::AVRational { num: 0, den: 1 } };
}

/// Gives a picture the color of its container.
pub(super) fn set_color(picture: &mut Video, color: ColorNumbers) {
    // SAFETY: writes fields of a live frame, as numbers because a file may have values that the bindings do not know;
    // FFmpeg stores such values, too.
    unsafe {
        let f = picture.as_mut_ptr();
        (&raw mut (*f).color_primaries).cast::<c_int>().write(color.primaries);
        (&raw mut (*f).color_trc).cast::<c_int>().write(color.transfer);
        (&raw mut (*f).colorspace).cast::<c_int>().write(color.matrix);
        (&raw mut (*f).color_range).cast::<c_int>().write(color.range);
    }
}

fn share(frame: &Frame) -> Result<Frame, Error> {
    // SAFETY: `empty` allocates (checked); `av_frame_ref` counts up the buffers of a live frame and copies its facts.
    unsafe {
        let mut twin = Frame::empty();
        if twin.as_ptr().is_null() {
            return Err(Error::Other { errno: ENOMEM });
        }
        match ffi::av_frame_ref(twin.as_mut_ptr(), frame.as_ptr()) {
            0 => Ok(twin),
            error => Err(Error::from(error)),
        }
    }
}

/// A second handle on the same pixels; nothing is copied.
pub(super) fn share_picture(frame: &Video) -> Result<Video, Error> {
    share(frame).map(Video::from)
}

/// A second handle on the same samples; nothing is copied.
pub(super) fn share_sound(frame: &Audio) -> Result<Audio, Error> {
    share(frame).map(Audio::from)
}

/// Gives samples without a channel layout the usual one of their count. Returns the mask of the layout and whether
/// there is one.
pub(super) fn settle_layout(frame: &mut Audio) -> Option<u64> {
    // SAFETY: a live frame owns its layout; the layout is replaced through FFmpeg's own functions, and its mask is
    // only read when its order says that the union holds a mask.
    unsafe {
        let layout = &raw mut (*frame.as_mut_ptr()).ch_layout;
        if (*layout).order != ffi::AVChannelOrder::AV_CHANNEL_ORDER_NATIVE {
            let channels = (*layout).nb_channels;
            ffi::av_channel_layout_uninit(layout);
            ffi::av_channel_layout_default(layout, channels);
        }
        ((*layout).order == ffi::AVChannelOrder::AV_CHANNEL_ORDER_NATIVE).then(|| (*layout).u.mask)
    }
}

/// Samples with room for them.
pub(super) fn new_sound(format: Sample, samples: usize, layout: ChannelLayout) -> Result<Audio, Error> {
    let sound = Audio::new(format, samples, layout);
    // SAFETY: reads one pointer of a live frame: it is null when there was no memory.
    if unsafe { sound.is_empty() } {
        Err(Error::Other { errno: ENOMEM })
    } else {
        Ok(sound)
    }
}

/// A picture with room for its pixels.
pub(super) fn new_picture(format: Pixel, width_px: u32, height_px: u32) -> Result<Video, Error> {
    let picture = Video::new(format, width_px, height_px);
    // SAFETY: reads one pointer of a live frame: it is null when there was no memory.
    if unsafe { picture.is_empty() } {
        Err(Error::Other { errno: ENOMEM })
    } else {
        Ok(picture)
    }
}

/// Bounds the threads that the filters of a graph use.
pub(super) fn set_graph_threads(graph: &mut Graph, threads: u32) {
    // SAFETY: a graph owns a live `AVFilterGraph`; the field is meant to be set before the graph is configured.
    unsafe { (*graph.as_mut_ptr()).nb_threads = c_int::try_from(threads).unwrap_or(1) };
}

/// Whether the container may jump in time without meaning it (MPEG-TS and the like).
pub(super) fn may_jump(input: &Input) -> bool {
    // SAFETY: an open input has a live, static format description.
    unsafe { (*(*input.as_ptr()).iformat).flags & ffi::AVFMT_TS_DISCONT != 0 }
}

/// Whether the length was only guessed from a bit rate.
pub(super) fn length_is_guessed(input: &Input) -> bool {
    // SAFETY: reads one field of an open input.
    let method = unsafe { ffi::av_fmt_ctx_get_duration_estimation_method(input.as_ptr()) };
    method == ffi::AVDurationEstimationMethod::AVFMT_DURATION_FROM_BITRATE
}

/// Presentation time of the first picture or sample in microseconds, when known.
pub(super) fn start_us(input: &Input) -> Option<i64> {
    // SAFETY: reads one field of an open input.
    let start = unsafe { (*input.as_ptr()).start_time };
    (start != ffi::AV_NOPTS_VALUE).then_some(start)
}

/// A time of a stream, when it is one.
pub(super) fn known(time: i64) -> Option<i64> {
    (time != ffi::AV_NOPTS_VALUE).then_some(time)
}

/// The shape of a pixel as the container tells it, width to height; a zero when it does not.
pub(super) fn container_aspect(stream: &Stream<'_>) -> (c_int, c_int) {
    // SAFETY: reads one field of a live stream.
    let aspect = unsafe { (*stream.as_ptr()).sample_aspect_ratio };
    (aspect.num, aspect.den)
}

/// The orientation matrix of a stream: nine numbers, the four that turn are first, second, fourth and fifth.
pub(super) fn display_matrix(stream: &Stream<'_>) -> Option<[i32; 9]> {
    side_data::<[i32; 9]>(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX)
}

/// Profile and compatibility of the base layer, when a stream is Dolby Vision.
pub(super) fn dolby_vision(stream: &Stream<'_>) -> Option<(u8, u8)> {
    let record = side_data::<[u8; 8]>(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_DOVI_CONF);
    record.map(|[_, _, profile, .., compatibility]| (profile, compatibility))
}

/// How a stream is spread over a sphere: the number of its projection (`AVSphericalProjection`), when it is.
pub(super) fn projection(stream: &Stream<'_>) -> Option<c_int> {
    side_data::<c_int>(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_SPHERICAL)
}

/// How the pictures for two eyes lie in those of a stream: the number of their layout (`AVStereo3DType`), when there are two.
pub(super) fn stereo_layout(stream: &Stream<'_>) -> Option<c_int> {
    side_data::<c_int>(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_STEREO3D).filter(|layout| *layout > 0)
}

/// What a container tells of a stream beside its codec, as plain numbers.
fn side_data<T: Copy>(stream: &Stream<'_>, kind: ffi::AVPacketSideDataType) -> Option<T> {
    let mut size = 0;
    // SAFETY: the side data of a live stream is valid for `size` bytes; it is read without alignment, as arrays of
    // numbers, for which all bytes are valid.
    unsafe {
        let data = ffi::av_stream_get_side_data(stream.as_ptr(), kind, &raw mut size);
        (!data.is_null() && size >= size_of::<T>()).then(|| data.cast::<T>().read_unaligned())
    }
}
