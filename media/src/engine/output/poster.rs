//! Makes a poster: one frame as an image.

use crate::engine::context::OutputContext;
use crate::engine::encode::still_image::encode_still;
use crate::engine::error::{self, nothing_decoded};
use crate::engine::fanout::channel::{Inbox, Piece};
use crate::engine::paths::output_path;
use crate::engine::video::filter_description::TargetFormat;
use crate::engine::video::frame_renderer::FrameRenderer;
use domain::Failure;
use domain::plan::Picture;
use domain::protocol::Made;
use domain::recipe::PosterFormat;
use ffmpeg_next::frame::Video;

/// What the plan orders for the poster.
pub(crate) struct PosterSpec<'a> {
    pub(crate) layout: &'a Picture,
    pub(crate) format: PosterFormat,
}

/// Makes the poster from the one picture that comes.
pub(crate) fn run(
    context: &OutputContext<'_>,
    file: &str,
    order: &PosterSpec<'_>,
    from: &Inbox,
) -> Result<Made, Failure> {
    let (mut found, mut at) = (None, 0);
    for piece in from {
        if let Piece::Frame { frame, at_us, .. } = piece {
            (found, at) = (Some(frame), at_us);
        }
    }
    context.check()?;
    let frame = found.ok_or_else(|| nothing_decoded("the pictures"))?;
    let drawn = draw(context, order, &frame.decoded()?, at)?;
    let packet = encode_still(&drawn, order.format)?;
    let path = output_path(context.scratch, file)?;
    std::fs::write(path, packet.data().unwrap_or_default()).map_err(|error| error::disk(file, &error))?;
    context.meter.add_frames(1);
    Ok(Made {
        file: file.to_owned(),
        frames: 1,
        duration_us: 0,
        ..Made::default()
    })
}

fn draw(context: &OutputContext<'_>, order: &PosterSpec<'_>, frame: &Video, at_us: i64) -> Result<Video, Failure> {
    let finish = match order.format {
        PosterFormat::Jpeg => TargetFormat::Jpeg,
        PosterFormat::Png => TargetFormat::Png,
        PosterFormat::Webp => TargetFormat::Webp,
    };
    FrameRenderer::new(context, order.layout, finish)?.draw(frame, at_us)
}
