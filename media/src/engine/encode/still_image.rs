//! Encodes one frame as JPEG, PNG or WebP.

use crate::engine::error;
use domain::Failure;
use domain::recipe::PosterFormat;
use ffmpeg_next::codec::{Context, Flags};
use ffmpeg_next::color::Range;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Dictionary, Packet, encoder};

/// Quality of JPEG: 3 on FFmpeg's scale from 2 (best) to 31, times `FF_QP2LAMBDA` (118).
const JPEG_QUALITY: &str = "354";

/// Quality of WebP from 0 to 100: about the same as [`JPEG_QUALITY`].
const WEBP_QUALITY: &str = "85";

/// Compression level of PNG from 0 to 9: the default of zlib.
const PNG_COMPRESSION: &str = "6";

/// Encodes a frame as an image file. The frame has the pixel format of the [`TargetFormat`] of the same name.
///
/// [`TargetFormat`]: crate::engine::video::filter_description::TargetFormat
pub(crate) fn encode_still(frame: &Video, format: PosterFormat) -> Result<Packet, Failure> {
    let (name, pixels, range, (option, quality)) = match format {
        PosterFormat::Jpeg => ("mjpeg", Pixel::YUVJ420P, Range::JPEG, ("global_quality", JPEG_QUALITY)),
        PosterFormat::Png => ("png", Pixel::RGB24, Range::JPEG, ("compression_level", PNG_COMPRESSION)),
        PosterFormat::Webp => ("libwebp", Pixel::YUV420P, Range::MPEG, ("quality", WEBP_QUALITY)),
    };
    let failed = |error| error::engine_failure(name, error);
    let codec = encoder::find_by_name(name).ok_or_else(|| error::missing_component(name))?;
    let mut context = Context::new_with_codec(codec);
    if format == PosterFormat::Jpeg {
        context.set_flags(Flags::QSCALE);
    }
    let mut video = context.encoder().video().map_err(failed)?;
    video.set_width(frame.width());
    video.set_height(frame.height());
    video.set_format(pixels);
    video.set_color_range(range);
    video.set_aspect_ratio((1, 1));
    // Encoders require a time base; a single image has no time.
    video.set_time_base((1, 25));
    let options: Dictionary<'_> = [(option, quality), ("threads", "1")].into_iter().collect();
    let mut opened = video
        .open_as_with(codec, options)
        .map_err(|error| error::unopened_encoder(name, error))?;
    opened.send_frame(frame).map_err(failed)?;
    opened.send_eof().map_err(failed)?;
    let mut packet = Packet::empty();
    opened.receive_packet(&mut packet).map_err(failed)?;
    Ok(packet)
}
