//! Opens video encoders. Their options are in [`super::video_settings`].

use crate::engine::encode::encoder::Encoder;
use crate::engine::encode::video_settings;
use crate::engine::error;
use crate::engine::time::frame_base;
use crate::engine::video::color::Color;
use domain::plan::VideoOrder;
use domain::probe::Size;
use domain::{Failure, Rational};
use ffmpeg_next::codec::{Context, Flags};
use ffmpeg_next::color::Range;
use ffmpeg_next::encoder;
use ffmpeg_next::format::Pixel;

/// Opens the encoder that an order asks for: constant rate factor, 4:2:0, 8 bits, closed groups of pictures.
pub(crate) fn open_video(order: &VideoOrder, fps: Rational, color: Color, threads: u32) -> Result<Encoder, Failure> {
    let name = video_settings::encoder_name(order.codec);
    let failed = |error| error::engine(name, error);
    let Size { width_px, height_px } = order.picture.canvas;
    let codec = encoder::find_by_name(name).ok_or_else(|| error::missing(name))?;
    let mut context = Context::new_with_codec(codec);
    context.set_flags(Flags::GLOBAL_HEADER | Flags::CLOSED_GOP);
    let mut video = context.encoder().video().map_err(failed)?;
    let base = frame_base(fps);
    video.set_width(width_px);
    video.set_height(height_px);
    video.set_format(Pixel::YUV420P);
    video.set_aspect_ratio((1, 1));
    video.set_time_base(base);
    video.set_frame_rate(Some(base.invert()));
    video.set_color_range(Range::MPEG);
    video.set_color_primaries(color.primaries);
    video.set_color_transfer_characteristic(color.transfer);
    video.set_colorspace(color.matrix);
    let opened = video
        .open_as_with(codec, video_settings::options(order, threads))
        .map_err(failed)?;
    Ok(Encoder::new(opened.0.0, base, 1))
}

/// Opens the encoder of animations, whose pictures have palettes and whose times count hundredths of a second.
pub(crate) fn open_gif(size: Size) -> Result<Encoder, Failure> {
    let failed = |error| error::engine("gif", error);
    let codec = encoder::find_by_name("gif").ok_or_else(|| error::missing("gif"))?;
    let mut video = Context::new_with_codec(codec).encoder().video().map_err(failed)?;
    let base = ffmpeg_next::Rational::new(1, 100);
    video.set_width(size.width_px);
    video.set_height(size.height_px);
    video.set_format(Pixel::PAL8);
    video.set_time_base(base);
    let opened = video.open_as(codec).map_err(failed)?;
    Ok(Encoder::new(opened.0.0, base, 0))
}
