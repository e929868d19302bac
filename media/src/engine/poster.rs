//! Makes one still from the picture that it is given.

use super::drawing::Drawing;
use super::fault;
use super::feed::{Inbox, Piece};
use super::mux::place;
use super::picture::Finish;
use super::reader::nothing_decoded;
use super::transcode::Job;
use domain::Failure;
use domain::plan::Picture;
use domain::protocol::Made;
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

/// What the plan orders for the poster.
pub(super) struct Order<'a> {
    pub(super) picture: &'a Picture,
    pub(super) format: PosterFormat,
}

/// Makes the poster from the one picture that comes.
pub(super) fn run(job: &Job<'_>, file: &str, order: &Order<'_>, from: &Inbox) -> Result<Made, Failure> {
    let (mut found, mut at) = (None, 0);
    for piece in from {
        if let Piece::Picture { picture, at_us, .. } = piece {
            (found, at) = (Some(picture), at_us);
        }
    }
    job.check()?;
    let picture = found.ok_or_else(|| nothing_decoded("the pictures"))?;
    let drawn = draw(job, order, &picture.decoded()?, at)?;
    let packet = encode(&drawn, order.format)?;
    let path = place(job.scratch, file)?;
    std::fs::write(path, packet.data().unwrap_or_default()).map_err(|error| fault::disk(file, &error))?;
    job.meter.add_frames(1);
    Ok(Made {
        file: file.to_owned(),
        frames: 1,
        duration_us: 0,
        ..Made::default()
    })
}

fn draw(job: &Job<'_>, order: &Order<'_>, picture: &Video, at_us: i64) -> Result<Video, Failure> {
    let finish = match order.format {
        PosterFormat::Jpeg => Finish::Jpeg,
        PosterFormat::Png => Finish::Png,
        PosterFormat::Webp => Finish::Webp,
    };
    Drawing::new(job, order.picture, finish)?.draw(picture, at_us)
}

/// Encodes a still as one file.
pub(super) fn encode(picture: &Video, format: PosterFormat) -> Result<Packet, Failure> {
    let (name, pixels, range, (option, quality)) = match format {
        PosterFormat::Jpeg => ("mjpeg", Pixel::YUVJ420P, Range::JPEG, ("global_quality", JPEG_QUALITY)),
        PosterFormat::Png => ("png", Pixel::RGB24, Range::JPEG, ("compression_level", PNG_EFFORT)),
        PosterFormat::Webp => ("libwebp", Pixel::YUV420P, Range::MPEG, ("quality", WEBP_QUALITY)),
    };
    let failed = |error| fault::engine(name, error);
    let codec = encoder::find_by_name(name).ok_or_else(|| fault::missing(name))?;
    let mut context = Context::new_with_codec(codec);
    if format == PosterFormat::Jpeg {
        context.set_flags(Flags::QSCALE);
    }
    let mut video = context.encoder().video().map_err(failed)?;
    video.set_width(picture.width());
    video.set_height(picture.height());
    video.set_format(pixels);
    video.set_color_range(range);
    video.set_aspect_ratio((1, 1));
    video.set_time_base((1, 25));
    let options: Dictionary<'_> = [(option, quality), ("threads", "1")].into_iter().collect();
    let mut opened = video.open_as_with(codec, options).map_err(failed)?;
    opened.send_frame(picture).map_err(failed)?;
    opened.send_eof().map_err(failed)?;
    let mut packet = Packet::empty();
    opened.receive_packet(&mut packet).map_err(failed)?;
    Ok(packet)
}
