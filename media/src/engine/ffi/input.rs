//! Fields of an open input and its streams: start time, duration estimate, sample aspect ratio, stream side data.

use ffmpeg_next::ffi;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Stream;
use std::ffi::c_int;

/// Returns `true` if the demuxer declares that timestamps may be discontinuous (`AVFMT_TS_DISCONT`): MPEG-TS, MPEG-PS,
/// Ogg.
pub(crate) fn has_timestamp_discontinuities(input: &Input) -> bool {
    // SAFETY: an open input has a live, static format description.
    unsafe { (*(*input.as_ptr()).iformat).flags & ffi::AVFMT_TS_DISCONT != 0 }
}

/// Returns `true` if FFmpeg estimated the duration from the bit rate, which is imprecise.
pub(crate) fn is_duration_from_bitrate(input: &Input) -> bool {
    // SAFETY: reads one field of an open input.
    let method = unsafe { ffi::av_fmt_ctx_get_duration_estimation_method(input.as_ptr()) };
    method == ffi::AVDurationEstimationMethod::AVFMT_DURATION_FROM_BITRATE
}

/// Presentation time of the first frame or sample in microseconds, if known.
pub(crate) fn start_us(input: &Input) -> Option<i64> {
    // SAFETY: reads one field of an open input.
    let start = unsafe { (*input.as_ptr()).start_time };
    (start != ffi::AV_NOPTS_VALUE).then_some(start)
}

/// Turns `AV_NOPTS_VALUE` into `None`.
pub(crate) fn known_timestamp(time: i64) -> Option<i64> {
    (time != ffi::AV_NOPTS_VALUE).then_some(time)
}

/// Sample aspect ratio in the container, width to height of a pixel; numerator 0 if unknown.
pub(crate) fn container_sample_aspect(stream: &Stream<'_>) -> (c_int, c_int) {
    // SAFETY: reads one field of a live stream.
    let aspect = unsafe { (*stream.as_ptr()).sample_aspect_ratio };
    (aspect.num, aspect.den)
}

/// Display matrix of a stream, row by row (`libavutil/display.h`). The elements 0, 1, 3 and 4 hold rotation and flips.
pub(crate) fn display_matrix(stream: &Stream<'_>) -> Option<[i32; 9]> {
    side_data::<[i32; 9]>(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX)
}

/// Profile and base layer compatibility id of a Dolby Vision stream (`AVDOVIDecoderConfigurationRecord`).
pub(crate) fn dolby_vision(stream: &Stream<'_>) -> Option<(u8, u8)> {
    let record = side_data::<[u8; 8]>(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_DOVI_CONF);
    record.map(|[_, _, profile, .., compatibility]| (profile, compatibility))
}

/// Projection of spherical video (`AVSphericalProjection`); `None` for flat video.
pub(crate) fn projection(stream: &Stream<'_>) -> Option<c_int> {
    side_data::<c_int>(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_SPHERICAL)
}

/// Packing of stereoscopic 3D video (`AVStereo3DType`), such as side by side; `None` for 2D video.
pub(crate) fn stereo_layout(stream: &Stream<'_>) -> Option<c_int> {
    side_data::<c_int>(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_STEREO3D).filter(|layout| *layout > 0)
}

/// Side data of a stream as plain integers; `None` if missing or too short. `T` must accept any bit pattern.
fn side_data<T: Copy>(stream: &Stream<'_>, kind: ffi::AVPacketSideDataType) -> Option<T> {
    let mut size = 0;
    // SAFETY: the side data of a live stream is valid for `size` bytes. It is read unaligned, and only as integers and
    // arrays of them, for which any bit pattern is valid.
    unsafe {
        let data = ffi::av_stream_get_side_data(stream.as_ptr(), kind, &raw mut size);
        (!data.is_null() && size >= size_of::<T>()).then(|| data.cast::<T>().read_unaligned())
    }
}
