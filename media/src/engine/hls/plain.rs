//! Scales from large to small: what all rungs need of a picture is done once, and each goes on from there.

use crate::engine::feed::Piece;
use crate::engine::graph::Graph;
use crate::engine::parts::Part;
use crate::engine::picture::{self, Finish};
use crate::engine::{av, fault};
use domain::Failure;
use domain::plan::{Picture, SourceVideo, VideoOrder};
use ffmpeg_next::Rational;
use ffmpeg_next::frame::Video;

/// Makes the pictures of the source plain, at the size that they have in the largest rung.
pub(super) struct Plain {
    picture: Picture,
    threads: u32,
    /// How the pictures of the part that is read are made plain; `None` for the clips before and after.
    source: Option<SourceVideo>,
    graph: Option<Graph>,
}

impl Plain {
    /// For rungs of which `largest` is the largest.
    pub(super) const fn new(threads: u32, largest: &VideoOrder) -> Self {
        let size = largest.picture.scaled;
        Self {
            picture: Picture {
                scaled: size,
                canvas: size,
                overlay: None,
            },
            threads,
            source: None,
            graph: None,
        }
    }

    /// What the rungs get instead of a piece.
    pub(super) fn apply(&mut self, piece: Piece) -> Result<Piece, Failure> {
        match piece {
            Piece::Part(part) => Ok(Piece::Part(self.begin(part))),
            Piece::Picture {
                picture,
                at_us,
                duration_us,
            } => Ok(Piece::Picture {
                picture: self.draw(picture)?,
                at_us,
                duration_us,
            }),
            piece => Ok(piece),
        }
    }

    fn begin(&mut self, part: Part) -> Part {
        self.source = part.video.filter(|_| part.is_span());
        self.graph = None;
        let plain = self.source.map(|source| SourceVideo {
            mirrored: false,
            quarter_turns: 0,
            deinterlace: false,
            tone_map: false,
            ..source
        });
        Part {
            video: plain.or(part.video),
            ..part
        }
    }

    fn draw(&mut self, mut picture: Video) -> Result<Video, Failure> {
        let Some(source) = &self.source else {
            return Ok(picture);
        };
        if !self.graph.as_ref().is_some_and(|graph| graph.fits(&picture)) {
            let shape = av::shape(&picture);
            let description = picture::description(&shape, source, &self.picture, Finish::Movie, None);
            self.graph = Some(Graph::new(shape, Rational::new(1, 1), &description, &[], self.threads)?);
        }
        let graph = self.graph.as_mut().ok_or_else(|| fault::missing("the graph"))?;
        picture.set_pts(Some(0));
        graph.push(&picture)?;
        graph
            .pull()?
            .ok_or_else(|| fault::engine("filter", ffmpeg_next::Error::Bug))
    }
}
