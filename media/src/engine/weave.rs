//! Weaves the fields of interlaced pictures into frames, before anything else sees them.

use super::av;
use super::facts::to_us;
use super::graph::Graph;
use domain::Failure;
use ffmpeg_next::Rational;
use ffmpeg_next::frame::Video;

/// A deinterlacer; pictures that are not flagged pass untouched.
pub(super) struct Weave {
    graph: Option<Graph>,
    threads: u32,
}

impl Weave {
    pub(super) const fn new(threads: u32) -> Self {
        Self { graph: None, threads }
    }

    /// Takes a picture shown at `at_us`; gives those that are ready, with their times.
    pub(super) fn push(&mut self, mut picture: Video, at_us: i64) -> Result<Vec<(Video, i64)>, Failure> {
        let mut ready = Vec::new();
        if !self.graph.as_ref().is_some_and(|graph| graph.fits(&picture)) {
            ready = self.finish()?;
        }
        let graph = match self.graph.take() {
            Some(graph) => graph,
            None => self.build(&picture)?,
        };
        let graph = self.graph.insert(graph);
        picture.set_pts(Some(at_us));
        graph.push(&picture)?;
        pull_all(graph, &mut ready)?;
        Ok(ready)
    }

    /// Gives what is left.
    pub(super) fn finish(&mut self) -> Result<Vec<(Video, i64)>, Failure> {
        let mut ready = Vec::new();
        if let Some(mut graph) = self.graph.take() {
            graph.finish()?;
            pull_all(&mut graph, &mut ready)?;
        }
        Ok(ready)
    }

    fn build(&self, picture: &Video) -> Result<Graph, Failure> {
        let description = "[in]bwdif=mode=send_frame:parity=auto:deint=interlaced[out]";
        let microseconds = Rational::new(1, 1_000_000);
        Graph::new(av::shape(picture), microseconds, description, &[], self.threads)
    }
}

fn pull_all(graph: &mut Graph, ready: &mut Vec<(Video, i64)>) -> Result<(), Failure> {
    while let Some(picture) = graph.pull()? {
        let at_us = to_us(picture.pts().unwrap_or(0), graph.base_out());
        ready.push((picture, at_us));
    }
    Ok(())
}
