//! Scales from large to small: what several outputs need of a picture is done once, by the first of them that comes to
//! it, and a size is made of a larger one.

mod sharing;

pub(super) use sharing::Sharing;

use super::av::{self, Shape};
use super::fault;
use super::graph::Graph;
use super::parts::Part;
use super::picture::{self, Finish};
use domain::Failure;
use domain::plan::{Picture, SourceVideo};
use domain::probe::Size;
use ffmpeg_next::Rational;
use ffmpeg_next::frame::Video;
use std::sync::{Arc, Mutex, OnceLock};

/// How the pictures of a span come down from size to size.
pub(super) struct Descent {
    source: SourceVideo,
    steps: Vec<Step>,
    threads: u32,
}

struct Step {
    size: Size,
    /// The step that it is made of; none for the picture as it was decoded.
    above: Option<usize>,
    graph: Mutex<Option<Graph>>,
}

impl Descent {
    /// The part as those see it who get its pictures from here: nothing is left to be done but what is theirs alone.
    pub(super) fn below(part: Part) -> Part {
        Part {
            video: part.video.map(plain),
            ..part
        }
    }

    fn draw(&self, step: &Step, from: &Video) -> Result<Video, Failure> {
        let shape = av::shape(from);
        let mut graph = step.graph.lock().map_err(|_| fault::broken_down())?;
        let mut fitting = match graph.take().filter(|graph| graph.fits(from)) {
            Some(graph) => graph,
            None => self.graph(step, shape)?,
        };
        let mut picture = share(from)?;
        picture.set_pts(Some(0));
        fitting.push(&picture)?;
        let drawn = fitting
            .pull()?
            .ok_or_else(|| fault::engine("filter", ffmpeg_next::Error::Bug));
        *graph = Some(fitting);
        drawn
    }

    fn graph(&self, step: &Step, shape: Shape) -> Result<Graph, Failure> {
        let source = step.above.map_or(self.source, |_| plain(self.source));
        let wanted = Picture {
            scaled: step.size,
            canvas: step.size,
            overlay: None,
        };
        let description = picture::description(&shape, &source, &wanted, Finish::Movie, None);
        Graph::new(shape, Rational::new(1, 1), &description, &[], self.threads)
    }
}

/// The pictures of a source once they are plain.
const fn plain(source: SourceVideo) -> SourceVideo {
    SourceVideo {
        mirrored: false,
        quarter_turns: 0,
        deinterlace: false,
        tone_map: false,
        // Whatever shape it had, it fills its size.
        size: Size {
            width_px: 0,
            height_px: 0,
        },
        sample_aspect: None,
        ..source
    }
}

/// A decoded picture on its way to several outputs. Handles are cheap; they all lead to the same samples.
#[derive(Clone)]
pub(super) struct Shared(Arc<Drawn>);

struct Drawn {
    decoded: Video,
    descent: Option<Arc<Descent>>,
    /// The picture at each step of the descent, once somebody wanted it.
    steps: Vec<OnceLock<Result<Video, Failure>>>,
}

impl Shared {
    /// A picture, and how it comes down.
    pub(super) fn new(decoded: Video, descent: Option<Arc<Descent>>) -> Self {
        let count = descent.as_ref().map_or(0, |descent| descent.steps.len());
        Self(Arc::new(Drawn {
            decoded,
            descent,
            steps: (0..count).map(|_| OnceLock::new()).collect(),
        }))
    }

    /// The picture as it was decoded.
    pub(super) fn decoded(&self) -> Result<Video, Failure> {
        share(&self.0.decoded)
    }

    /// The picture at one of the sizes of the descent, plain; as it was decoded when there is none.
    ///
    /// # Errors
    /// Those of the filter; everybody who wants the size gets the same.
    pub(super) fn at(&self, size: Size) -> Result<Video, Failure> {
        let Some(descent) = &self.0.descent else {
            return self.decoded();
        };
        let place = descent.steps.iter().position(|step| step.size == size);
        let place = place.ok_or_else(|| fault::missing("the size"))?;
        self.0.step(descent, place).and_then(share)
    }
}

impl Drawn {
    fn step(&self, descent: &Descent, place: usize) -> Result<&Video, Failure> {
        let (Some(drawn), Some(step)) = (self.steps.get(place), descent.steps.get(place)) else {
            return Err(fault::missing("the step"));
        };
        let made = drawn.get_or_init(|| {
            let from = step.above.map(|above| self.step(descent, above)).transpose()?;
            descent.draw(step, from.unwrap_or(&self.decoded))
        });
        made.as_ref().map_err(Clone::clone)
    }
}

impl From<Video> for Shared {
    /// A picture of which every output that gets it wants something else.
    fn from(decoded: Video) -> Self {
        Self::new(decoded, None)
    }
}

fn share(picture: &Video) -> Result<Video, Failure> {
    av::share_picture(picture).map_err(|error| fault::engine("picture", error))
}

#[cfg(test)]
mod tests {
    use super::sharing::tests::{part, sharing, size};
    use super::*;
    use ffmpeg_next::format::Pixel;
    use std::thread;

    #[test]
    fn whoever_comes_each_size_is_made_once_and_upright() {
        let sizes = [size(180, 320), size(90, 160), size(44, 80)];
        let descent = sharing(size(320, 180), &sizes).descent(&part(1)).map(Arc::new);
        let mut decoded = Video::new(Pixel::YUV420P, 320, 180);
        for plane in 0..3 {
            let (stride, width) = (
                decoded.stride(plane),
                usize::try_from(decoded.plane_width(plane)).unwrap(),
            );
            for row in decoded.data_mut(plane).chunks_mut(stride) {
                // Bright at the left: at the top once it is turned clockwise.
                row[..width / 2].fill(if plane == 0 { 200 } else { 128 });
                row[width / 2..].fill(if plane == 0 { 40 } else { 128 });
            }
        }
        let shared = Shared::new(decoded, descent);
        let drawn = thread::scope(|scope| {
            let takers: Vec<_> = (0..9)
                .map(|place| {
                    let shared = &shared;
                    scope.spawn(move || shared.at(sizes[place % 3]).unwrap())
                })
                .collect();
            takers
                .into_iter()
                .map(|taker| taker.join().unwrap())
                .collect::<Vec<_>>()
        });
        for (place, picture) in drawn.iter().enumerate() {
            assert_eq!(size(picture.width(), picture.height()), sizes[place % 3]);
            assert_eq!(
                picture.data(0).as_ptr(),
                drawn[place % 3].data(0).as_ptr(),
                "the same samples"
            );
            let (stride, rows) = (picture.stride(0), usize::try_from(picture.height()).unwrap());
            let luma = |row: usize| picture.data(0)[row * stride + 10];
            assert_eq!((luma(rows / 4), luma(rows * 3 / 4)), (200, 40));
        }
        assert!(shared.at(size(2, 2)).is_err(), "no step of that size");
        assert_eq!(shared.decoded().unwrap().width(), 320);
    }
}
