//! Renders one frame for an output: rotated, in the color of the output, scaled to its size, with the watermark that is
//! visible at its time.

use crate::engine::context::OutputContext;
use crate::engine::error;
use crate::engine::ffi::frame;
use crate::engine::video::filter_description::{self, TargetFormat, WATERMARK};
use crate::engine::video::filter_graph::{FilterGraph, StillInput};
use crate::engine::video::{color, still_images};
use domain::Failure;
use domain::plan::{Picture, SourceVideo};
use ffmpeg_next::Rational;
use ffmpeg_next::frame::Video;

/// How pictures are drawn, and the graph that draws those of the shape that came last.
pub(crate) struct FrameRenderer<'a> {
    pub(crate) source: SourceVideo,
    pub(crate) layout: &'a Picture,
    pub(crate) finish: TargetFormat,
    /// The image of the overlay.
    pub(crate) watermark: Option<Video>,
    /// The unit of moments.
    pub(crate) base: Rational,
    pub(crate) threads: u32,
    pub(crate) graph: Option<FilterGraph>,
}

impl<'a> FrameRenderer<'a> {
    /// Draws pictures of the source for an output without cards; moments count in microseconds.
    pub(crate) fn new(context: &OutputContext<'_>, layout: &'a Picture, finish: TargetFormat) -> Result<Self, Failure> {
        let (source, coded, numbers) = context.video()?;
        let matrix = color::of_output(&numbers, coded).matrix;
        let overlay = layout.overlay.as_ref();
        let watermark = overlay.map(|overlay| still_images::watermark(overlay, context.images, matrix));
        Ok(Self {
            source,
            layout,
            finish,
            watermark: watermark.transpose()?,
            base: Rational::new(1, 1_000_000),
            threads: context.threads,
            graph: None,
        })
    }

    /// Whether what is drawn depends on the moment.
    pub(crate) fn changes(&self) -> bool {
        let overlay = self.layout.overlay.as_ref().filter(|_| self.watermark.is_some());
        overlay.is_some_and(|overlay| overlay.span.end.is_some() || overlay.span.start.us() > 0)
    }

    /// Draws a picture as it is seen at a moment; moments only grow.
    pub(crate) fn draw(&mut self, frame: &Video, at: i64) -> Result<Video, Failure> {
        if !self.graph.as_ref().is_some_and(|graph| graph.fits(frame)) {
            let shape = frame::shape(frame);
            let size = self
                .watermark
                .as_ref()
                .map(|watermark| frame::frame_size(&frame::shape(watermark)));
            let description = filter_description::description(&shape, &self.source, self.layout, self.finish, size);
            let beside: Vec<_> = self
                .watermark
                .iter()
                .map(|frame| StillInput {
                    name: WATERMARK,
                    from: at,
                    frame,
                })
                .collect();
            self.graph = Some(FilterGraph::new(shape, self.base, &description, &beside, self.threads)?);
        }
        let graph = self.graph.as_mut().ok_or_else(|| error::missing("the graph"))?;
        // The graph takes what it is given: the picture itself stays here.
        let mut twin = frame::share_video(frame).map_err(|error| error::engine("picture", error))?;
        twin.set_pts(Some(at));
        graph.push(&twin)?;
        graph
            .pull()?
            .ok_or_else(|| error::engine("filter", ffmpeg_next::Error::Bug))
    }
}
