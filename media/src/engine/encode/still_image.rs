//! Encodes one frame as JPEG, PNG or WebP.

use crate::engine::error;
use domain::Failure;
use domain::recipe::PosterFormat;
use ffmpeg_next::codec::{Context, Flags};
use ffmpeg_next::color::Range;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Dictionary, Packet, encoder};

/// Quality of a JPEG in FFmpeg's scale, 2 (best) to 31, times its unit of 118.
const JPEG_QUALITY: &str = "354";

/// Quality of a WebP, 0 to 100: about that of our JPEG.
const WEBP_QUALITY: &str = "85";

/// Effort for a PNG, 0 to 9, as zlib's own choice.
const PNG_EFFORT: &str = "6";

/// Encodes a still as one file.
pub(crate) fn encode_still(frame: &Video, format: PosterFormat) -> Result<Packet, Failure> {
    let (name, pixels, range, (option, quality)) = match format {
        PosterFormat::Jpeg => ("mjpeg", Pixel::YUVJ420P, Range::JPEG, ("global_quality", JPEG_QUALITY)),
        PosterFormat::Png => ("png", Pixel::RGB24, Range::JPEG, ("compression_level", PNG_EFFORT)),
        PosterFormat::Webp => ("libwebp", Pixel::YUV420P, Range::MPEG, ("quality", WEBP_QUALITY)),
    };
    let failed = |error| error::engine(name, error);
    let codec = encoder::find_by_name(name).ok_or_else(|| error::missing(name))?;
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
    video.set_time_base((1, 25));
    let options: Dictionary<'_> = [(option, quality), ("threads", "1")].into_iter().collect();
    let mut opened = video.open_as_with(codec, options).map_err(failed)?;
    opened.send_frame(frame).map_err(failed)?;
    opened.send_eof().map_err(failed)?;
    let mut packet = Packet::empty();
    opened.receive_packet(&mut packet).map_err(failed)?;
    Ok(packet)
}
