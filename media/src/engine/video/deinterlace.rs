//! Deinterlacer: bwdif, one frame per two fields. It runs before any other filter, because scaling would mix the two
//! fields. Only frames that are flagged as interlaced are changed; progressive frames pass unchanged.

use crate::engine::ffi::frame;
use crate::engine::time::to_us;
use crate::engine::video::filter_graph::FilterGraph;
use domain::Failure;
use ffmpeg_next::Rational;
use ffmpeg_next::frame::Video;

/// Deinterlaces the frames of a part. bwdif needs the next frame to interpolate one, so output is a frame late.
pub(crate) struct Deinterlacer {
    graph: Option<FilterGraph>,
    threads: u32,
}

impl Deinterlacer {
    pub(crate) const fn new(threads: u32) -> Self {
        Self { graph: None, threads }
    }

    /// Adds a frame that is shown at `at_us`. Returns the frames that are ready, with their times in microseconds.
    pub(crate) fn push(&mut self, mut frame: Video, at_us: i64) -> Result<Vec<(Video, i64)>, Failure> {
        let mut ready = Vec::new();
        if !self.graph.as_ref().is_some_and(|graph| graph.accepts(&frame)) {
            // The format changes: the graph for the old one still holds a frame.
            ready = self.finish()?;
        }
        let graph = match self.graph.take() {
            Some(graph) => graph,
            None => self.build(&frame)?,
        };
        let graph = self.graph.insert(graph);
        frame.set_pts(Some(at_us));
        graph.push(&frame)?;
        pull_all(graph, &mut ready)?;
        Ok(ready)
    }

    /// Ends the graph and returns the frames that it still held.
    pub(crate) fn finish(&mut self) -> Result<Vec<(Video, i64)>, Failure> {
        let mut ready = Vec::new();
        if let Some(mut graph) = self.graph.take() {
            graph.finish()?;
            pull_all(&mut graph, &mut ready)?;
        }
        Ok(ready)
    }

    fn build(&self, frame: &Video) -> Result<FilterGraph, Failure> {
        let description = "[in]bwdif=mode=send_frame:parity=auto:deint=interlaced[out]";
        let microseconds = Rational::new(1, 1_000_000);
        FilterGraph::new(frame::frame_format(frame), microseconds, description, &[], self.threads)
    }
}

fn pull_all(graph: &mut FilterGraph, ready: &mut Vec<(Video, i64)>) -> Result<(), Failure> {
    while let Some(frame) = graph.pull()? {
        let at_us = to_us(frame.pts().unwrap_or(0), graph.output_time_base());
        ready.push((frame, at_us));
    }
    Ok(())
}
