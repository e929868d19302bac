//! Fields of an open input and its streams: times, aspect ratio and side data.

use ffmpeg_next::ffi;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Stream;
use std::ffi::c_int;

/// Whether the container may jump in time without meaning it (MPEG-TS and the like).
pub(crate) fn may_jump(input: &Input) -> bool {
    // SAFETY: an open input has a live, static format description.
    unsafe { (*(*input.as_ptr()).iformat).flags & ffi::AVFMT_TS_DISCONT != 0 }
}

/// Whether the length was only guessed from a bit rate.
pub(crate) fn length_is_guessed(input: &Input) -> bool {
    // SAFETY: reads one field of an open input.
    let method = unsafe { ffi::av_fmt_ctx_get_duration_estimation_method(input.as_ptr()) };
    method == ffi::AVDurationEstimationMethod::AVFMT_DURATION_FROM_BITRATE
}

/// Presentation time of the first picture or sample in microseconds, when known.
pub(crate) fn start_us(input: &Input) -> Option<i64> {
    // SAFETY: reads one field of an open input.
    let start = unsafe { (*input.as_ptr()).start_time };
    (start != ffi::AV_NOPTS_VALUE).then_some(start)
}

/// A time of a stream, when it is one.
pub(crate) fn known_timestamp(time: i64) -> Option<i64> {
    (time != ffi::AV_NOPTS_VALUE).then_some(time)
}

/// The shape of a pixel as the container tells it, width to height; a zero when it does not.
pub(crate) fn container_aspect(stream: &Stream<'_>) -> (c_int, c_int) {
    // SAFETY: reads one field of a live stream.
    let aspect = unsafe { (*stream.as_ptr()).sample_aspect_ratio };
    (aspect.num, aspect.den)
}

/// The orientation matrix of a stream: nine numbers, the four that turn are first, second, fourth and fifth.
pub(crate) fn display_matrix(stream: &Stream<'_>) -> Option<[i32; 9]> {
    side_data::<[i32; 9]>(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX)
}

/// Profile and compatibility of the base layer, when a stream is Dolby Vision.
pub(crate) fn dolby_vision(stream: &Stream<'_>) -> Option<(u8, u8)> {
    let record = side_data::<[u8; 8]>(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_DOVI_CONF);
    record.map(|[_, _, profile, .., compatibility]| (profile, compatibility))
}

/// How a stream is spread over a sphere: the number of its projection (`AVSphericalProjection`), when it is.
pub(crate) fn projection(stream: &Stream<'_>) -> Option<c_int> {
    side_data::<c_int>(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_SPHERICAL)
}

/// How the pictures for two eyes lie in those of a stream: the number of their layout (`AVStereo3DType`), when there are two.
pub(crate) fn stereo_layout(stream: &Stream<'_>) -> Option<c_int> {
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
