//! Renders one frame for an output: rotated, in the color of the output, scaled to its size, with the watermark that is
//! visible at its time.

use crate::engine::context::OutputContext;
use crate::engine::error;
use crate::engine::ffi::frame;
use crate::engine::video::filter_description::{self, TargetFormat, WATERMARK};
use crate::engine::video::filter_graph::{FilterGraph, StillInput};
use crate::engine::video::{color, still_images};
use domain::Failure;
use domain::plan::{FrameLayout, SourceVideo};
use ffmpeg_next::Rational;
use ffmpeg_next::frame::Video;

/// Layout of the rendered frames, and a filter graph for the format of the latest input frame.
pub(crate) struct FrameRenderer<'a> {
    pub(crate) source: SourceVideo,
    pub(crate) layout: &'a FrameLayout,
    pub(crate) target: TargetFormat,
    /// Image of the watermark, at its final size and opacity.
    pub(crate) watermark: Option<Video>,
    /// Unit of the times given to [`Self::render`].
    pub(crate) time_base: Rational,
    pub(crate) threads: u32,
    pub(crate) graph: Option<FilterGraph>,
}

impl<'a> FrameRenderer<'a> {
    /// Renders frames of the source for an output without bumpers. Times are in microseconds.
    pub(crate) fn new(
        context: &OutputContext<'_>,
        layout: &'a FrameLayout,
        target: TargetFormat,
    ) -> Result<Self, Failure> {
        let (source, coded, numbers) = context.video()?;
        let matrix = color::output_color(&numbers, coded).matrix;
        let watermark = layout.watermark.as_ref();
        let watermark = watermark.map(|watermark| still_images::watermark(watermark, context.images, matrix));
        Ok(Self {
            source,
            layout,
            target,
            watermark: watermark.transpose()?,
            time_base: Rational::new(1, 1_000_000),
            threads: context.threads,
            graph: None,
        })
    }

    /// Returns `true` when the same frame may look different at another time, because the watermark has a span.
    pub(crate) fn is_time_dependent(&self) -> bool {
        let watermark = self.layout.watermark.as_ref().filter(|_| self.watermark.is_some());
        watermark.is_some_and(|watermark| watermark.span.end.is_some() || watermark.span.start.us() > 0)
    }

    /// Renders a frame as it looks at time `at`. Times must increase.
    pub(crate) fn render(&mut self, frame: &Video, at: i64) -> Result<Video, Failure> {
        if !self.graph.as_ref().is_some_and(|graph| graph.accepts(frame)) {
            let format = frame::frame_format(frame);
            let size = self
                .watermark
                .as_ref()
                .map(|watermark| frame::frame_size(&frame::frame_format(watermark)));
            let description = filter_description::description(&format, &self.source, self.layout, self.target, size);
            let stills: Vec<_> = self
                .watermark
                .iter()
                .map(|frame| StillInput {
                    name: WATERMARK,
                    from: at,
                    frame,
                })
                .collect();
            let graph = FilterGraph::new(format, self.time_base, &description, &stills, self.threads)?;
            self.graph = Some(graph);
        }
        let graph = self
            .graph
            .as_mut()
            .ok_or_else(|| error::missing_component("the graph"))?;
        // The graph takes the reference that it is given; the caller may render the frame again.
        let mut shared = frame::share_video(frame).map_err(|error| error::engine_failure("frame", error))?;
        shared.set_pts(Some(at));
        graph.push(&shared)?;
        graph
            .pull()?
            .ok_or_else(|| error::engine_failure("filter", ffmpeg_next::Error::Bug))
    }
}
