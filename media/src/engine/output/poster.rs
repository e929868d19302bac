//! Encodes a poster: one frame as a JPEG, PNG or WebP image.

use crate::engine::context::OutputContext;
use crate::engine::encode::still_image::encode_still;
use crate::engine::error::{self, nothing_decoded};
use crate::engine::fanout::channel::{MediaItem, MediaReceiver};
use crate::engine::paths::output_path;
use crate::engine::video::filter_description::TargetFormat;
use crate::engine::video::frame_renderer::FrameRenderer;
use domain::Failure;
use domain::plan::FrameLayout;
use domain::protocol::OutputReport;
use domain::recipe::PosterFormat;
use ffmpeg_next::frame::Video;

/// The parameters of a poster.
pub(crate) struct PosterSpec<'a> {
    pub(crate) layout: &'a FrameLayout,
    pub(crate) format: PosterFormat,
}

/// Encodes the last received frame as an image. The fan-out sends the frame at the requested time.
pub(crate) fn run(
    context: &OutputContext<'_>,
    file: &str,
    spec: &PosterSpec<'_>,
    receiver: &MediaReceiver,
) -> Result<OutputReport, Failure> {
    let (mut found, mut found_us) = (None, 0);
    for item in receiver {
        if let MediaItem::Frame { frame, at_us, .. } = item {
            (found, found_us) = (Some(frame), at_us);
        }
    }
    context.check()?;
    let frame = found.ok_or_else(|| nothing_decoded("the video"))?;
    let rendered = render(context, spec, &frame.decoded()?, found_us)?;
    let packet = encode_still(&rendered, spec.format)?;
    let path = output_path(context.scratch, file)?;
    std::fs::write(path, packet.data().unwrap_or_default()).map_err(|error| error::io_failure(file, &error))?;
    context.progress.add_frames(1);
    Ok(OutputReport {
        file: file.to_owned(),
        frames: 1,
        duration_us: 0,
        ..OutputReport::default()
    })
}

fn render(context: &OutputContext<'_>, spec: &PosterSpec<'_>, frame: &Video, at_us: i64) -> Result<Video, Failure> {
    let format = match spec.format {
        PosterFormat::Jpeg => TargetFormat::Jpeg,
        PosterFormat::Png => TargetFormat::Png,
        PosterFormat::Webp => TargetFormat::Webp,
    };
    FrameRenderer::new(context, spec.layout, format)?.render(frame, at_us)
}
