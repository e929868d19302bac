//! Draws pictures: upright, plain, at their size, with the overlay that is seen at their moment.

use super::color;
use super::graph::{Beside, Graph};
use super::picture::{self, Finish, MARK};
use super::transcode::Job;
use super::{av, fault, still};
use domain::Failure;
use domain::plan::{Picture, SourceVideo};
use ffmpeg_next::Rational;
use ffmpeg_next::frame::Video;

/// How pictures are drawn, and the graph that draws those of the shape that came last.
pub(super) struct Drawing<'a> {
    pub(super) source: SourceVideo,
    pub(super) picture: &'a Picture,
    pub(super) finish: Finish,
    /// The image of the overlay.
    pub(super) mark: Option<Video>,
    /// The unit of moments.
    pub(super) base: Rational,
    pub(super) threads: u32,
    pub(super) graph: Option<Graph>,
}

impl<'a> Drawing<'a> {
    /// Draws pictures of the source for an output without cards; moments count in microseconds.
    pub(super) fn new(job: &Job<'_>, picture: &'a Picture, finish: Finish) -> Result<Self, Failure> {
        let (source, coded, numbers) = job.picture()?;
        let matrix = color::of_output(&numbers, coded).matrix;
        let overlay = picture.overlay.as_ref();
        let mark = overlay.map(|overlay| still::mark(overlay, job.images, matrix));
        Ok(Self {
            source,
            picture,
            finish,
            mark: mark.transpose()?,
            base: Rational::new(1, 1_000_000),
            threads: job.threads,
            graph: None,
        })
    }

    /// Whether what is drawn depends on the moment.
    pub(super) fn changes(&self) -> bool {
        let overlay = self.picture.overlay.as_ref().filter(|_| self.mark.is_some());
        overlay.is_some_and(|overlay| overlay.span.end.is_some() || overlay.span.start.us() > 0)
    }

    /// Draws a picture as it is seen at a moment; moments only grow.
    pub(super) fn draw(&mut self, picture: &Video, at: i64) -> Result<Video, Failure> {
        if !self.graph.as_ref().is_some_and(|graph| graph.fits(picture)) {
            let shape = av::shape(picture);
            let size = self.mark.as_ref().map(|mark| still::size_of(&av::shape(mark)));
            let description = picture::description(&shape, &self.source, self.picture, self.finish, size);
            let beside: Vec<_> = self
                .mark
                .iter()
                .map(|picture| Beside {
                    name: MARK,
                    from: at,
                    picture,
                })
                .collect();
            self.graph = Some(Graph::new(shape, self.base, &description, &beside, self.threads)?);
        }
        let graph = self.graph.as_mut().ok_or_else(|| fault::missing("the graph"))?;
        // The graph takes what it is given: the picture itself stays here.
        let mut twin = av::share_picture(picture).map_err(|error| fault::engine("picture", error))?;
        twin.set_pts(Some(at));
        graph.push(&twin)?;
        graph
            .pull()?
            .ok_or_else(|| fault::engine("filter", ffmpeg_next::Error::Bug))
    }
}
