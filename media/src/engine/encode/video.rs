//! Opens video encoders. [`super::video_settings`] has their options.

use crate::engine::encode::encoder::Encoder;
use crate::engine::encode::video_settings;
use crate::engine::error;
use crate::engine::time::frame_time_base;
use crate::engine::video::color::Color;
use domain::plan::VideoEncode;
use domain::probe::Size;
use domain::{Failure, Rational};
use ffmpeg_next::codec::{Context, Flags};
use ffmpeg_next::color::Range;
use ffmpeg_next::encoder;
use ffmpeg_next::format::Pixel;

/// Opens a video encoder: constant rate factor, 4:2:0, 8 bits, closed GOPs. Its time base is one frame.
pub(crate) fn open_video(encode: &VideoEncode, fps: Rational, color: Color, threads: u32) -> Result<Encoder, Failure> {
    let name = video_settings::encoder_name(encode.codec);
    let failed = |error| error::engine_failure(name, error);
    let Size { width_px, height_px } = encode.layout.canvas;
    let codec = encoder::find_by_name(name).ok_or_else(|| error::missing_component(name))?;
    let mut context = Context::new_with_codec(codec);
    context.set_flags(Flags::GLOBAL_HEADER | Flags::CLOSED_GOP);
    let mut video = context.encoder().video().map_err(failed)?;
    let time_base = frame_time_base(fps);
    video.set_width(width_px);
    video.set_height(height_px);
    video.set_format(Pixel::YUV420P);
    video.set_aspect_ratio((1, 1));
    video.set_time_base(time_base);
    video.set_frame_rate(Some(time_base.invert()));
    video.set_color_range(Range::MPEG);
    video.set_color_primaries(color.primaries);
    video.set_color_transfer_characteristic(color.transfer);
    video.set_colorspace(color.matrix);
    let opened = video
        .open_as_with(codec, video_settings::options(encode, threads))
        .map_err(|error| error::unopened_encoder(name, error))?;
    Ok(Encoder::new(opened.0.0, time_base, 1))
}

/// Opens the GIF encoder: frames with a palette, timestamps in hundredths of a second.
pub(crate) fn open_gif(size: Size) -> Result<Encoder, Failure> {
    let failed = |error| error::engine_failure("gif", error);
    let codec = encoder::find_by_name("gif").ok_or_else(|| error::missing_component("gif"))?;
    let mut video = Context::new_with_codec(codec).encoder().video().map_err(failed)?;
    let time_base = ffmpeg_next::Rational::new(1, 100);
    video.set_width(size.width_px);
    video.set_height(size.height_px);
    video.set_format(Pixel::PAL8);
    video.set_time_base(time_base);
    let opened = video
        .open_as(codec)
        .map_err(|error| error::unopened_encoder("gif", error))?;
    Ok(Encoder::new(opened.0.0, time_base, 0))
}
