//! Scaling cascade: scales each frame once per size, by the first output that needs the size, and a size is made of a larger
//! one where that is sharp enough.

use crate::engine::decode::timeline::Part;
use crate::engine::error;
use crate::engine::ffi::frame::{self, Shape};
use crate::engine::video::filter_description::{self, TargetFormat};
use crate::engine::video::filter_graph::FilterGraph;
use domain::Failure;
use domain::plan::{Content, Movie, Picture, PlannedOutput, SourceVideo, VideoTrack};
use domain::probe::Size;
use ffmpeg_next::Rational;
use ffmpeg_next::frame::Video;
use std::cmp::Reverse;
use std::sync::{Arc, Mutex, OnceLock};

/// How the pictures of a span come down from size to size.
pub(crate) struct ScalingCascade {
    source: SourceVideo,
    steps: Vec<Step>,
    threads: u32,
}

struct Step {
    size: Size,
    /// The step that it is made of; none for the picture as it was decoded.
    above: Option<usize>,
    graph: Mutex<Option<FilterGraph>>,
}

impl ScalingCascade {
    /// The part as those see it who get its pictures from here: nothing is left to be done but what is theirs alone.
    pub(crate) fn below(part: Part) -> Part {
        Part {
            video: part.video.map(plain),
            ..part
        }
    }

    fn draw(&self, step: &Step, from: &Video) -> Result<Video, Failure> {
        let shape = frame::shape(from);
        let mut graph = step.graph.lock().map_err(|_| error::thread_panicked())?;
        let mut fitting = match graph.take().filter(|graph| graph.fits(from)) {
            Some(graph) => graph,
            None => self.graph(step, shape)?,
        };
        let mut frame = share(from)?;
        frame.set_pts(Some(0));
        fitting.push(&frame)?;
        let drawn = fitting
            .pull()?
            .ok_or_else(|| error::engine("filter", ffmpeg_next::Error::Bug));
        *graph = Some(fitting);
        drawn
    }

    fn graph(&self, step: &Step, shape: Shape) -> Result<FilterGraph, Failure> {
        let source = step.above.map_or(self.source, |_| plain(self.source));
        let wanted = Picture {
            scaled: step.size,
            canvas: step.size,
            overlay: None,
        };
        let description = filter_description::description(&shape, &source, &wanted, TargetFormat::Movie, None);
        FilterGraph::new(shape, Rational::new(1, 1), &description, &[], self.threads)
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
pub(crate) struct SharedFrame(Arc<FrameSizes>);

struct FrameSizes {
    decoded: Video,
    cascade: Option<Arc<ScalingCascade>>,
    /// The picture at each step of the descent, once somebody wanted it.
    steps: Vec<OnceLock<Result<Video, Failure>>>,
}

impl SharedFrame {
    /// A picture, and how it comes down.
    pub(crate) fn new(decoded: Video, cascade: Option<Arc<ScalingCascade>>) -> Self {
        let count = cascade.as_ref().map_or(0, |cascade| cascade.steps.len());
        Self(Arc::new(FrameSizes {
            decoded,
            cascade,
            steps: (0..count).map(|_| OnceLock::new()).collect(),
        }))
    }

    /// The picture as it was decoded.
    pub(crate) fn decoded(&self) -> Result<Video, Failure> {
        share(&self.0.decoded)
    }

    /// The picture at one of the sizes of the descent, plain; as it was decoded when there is none.
    ///
    /// # Errors
    /// Those of the filter; everybody who wants the size gets the same.
    pub(crate) fn at(&self, size: Size) -> Result<Video, Failure> {
        let Some(cascade) = &self.0.cascade else {
            return self.decoded();
        };
        let place = cascade.steps.iter().position(|step| step.size == size);
        let place = place.ok_or_else(|| error::missing("the size"))?;
        self.0.step(cascade, place).and_then(share)
    }
}

impl FrameSizes {
    fn step(&self, cascade: &ScalingCascade, place: usize) -> Result<&Video, Failure> {
        let (Some(drawn), Some(step)) = (self.steps.get(place), cascade.steps.get(place)) else {
            return Err(error::missing("the step"));
        };
        let made = drawn.get_or_init(|| {
            let from = step.above.map(|above| self.step(cascade, above)).transpose()?;
            cascade.draw(step, from.unwrap_or(&self.decoded))
        });
        made.as_ref().map_err(Clone::clone)
    }
}

impl From<Video> for SharedFrame {
    /// A picture of which every output that gets it wants something else.
    fn from(decoded: Video) -> Self {
        Self::new(decoded, None)
    }
}

fn share(frame: &Video) -> Result<Video, Failure> {
    frame::share_video(frame).map_err(|error| error::engine("picture", error))
}

/// What the encoders of a plan can share.
pub(crate) struct CascadePlan {
    /// The sizes that they want, largest first; none when there are fewer than two encoders.
    sizes: Vec<Size>,
    /// The coded size of the source.
    coded: Size,
    threads: u32,
}

impl CascadePlan {
    /// For these outputs of a source that is coded at a size.
    pub(crate) fn new(outputs: &[PlannedOutput], coded: Size, threads: u32) -> Self {
        Self {
            sizes: sizes(outputs),
            coded,
            threads,
        }
    }

    /// How the pictures of a part come down; `None` when each output makes its own of them.
    pub(crate) fn cascade(&self, part: &Part) -> Option<ScalingCascade> {
        let source = part.video.filter(|_| part.is_span() && !self.sizes.is_empty())?;
        let upright = match self.coded {
            coded if source.quarter_turns.is_multiple_of(2) => coded,
            Size { width_px, height_px } => Size {
                width_px: height_px,
                height_px: width_px,
            },
        };
        let steps = self.sizes.iter().enumerate().map(|(place, size)| Step {
            size: *size,
            above: self
                .sizes
                .iter()
                .take(place)
                .rposition(|above| is_worth_it(*above, *size, upright)),
            graph: Mutex::new(None),
        });
        Some(ScalingCascade {
            source,
            steps: steps.collect(),
            threads: self.threads,
        })
    }
}

fn sizes(outputs: &[PlannedOutput]) -> Vec<Size> {
    let tracks = outputs.iter().flat_map(|output| match &output.content {
        Content::Movie(Movie { video, .. }) => vec![video],
        Content::Hls(hls) => hls.rungs.iter().map(|rung| &rung.video).collect(),
        Content::Audio { .. } | Content::Gif { .. } | Content::Poster { .. } | Content::Sprite { .. } => Vec::new(),
    });
    let mut sizes: Vec<_> = tracks
        .filter_map(|track| match track {
            VideoTrack::Encode(order) => Some(order.picture.scaled),
            VideoTrack::Copy { .. } => None,
        })
        .collect();
    if sizes.len() < 2 {
        return Vec::new();
    }
    sizes.sort_by_key(|size| Reverse(u64::from(size.width_px) * u64::from(size.height_px)));
    sizes.dedup();
    sizes
}

/// Whether a size is better made of a larger one than of the source: one that is hardly larger would blur it, and one
/// that is enlarged has nothing that the source has not.
fn is_worth_it(above: Size, size: Size, source: Size) -> bool {
    let ample = |above: u32, side: u32| u64::from(above) * 4 >= u64::from(side) * 5;
    let enlarged = above.width_px > source.width_px && above.height_px > source.height_px;
    !enlarged && ample(above.width_px, size.width_px) && ample(above.height_px, size.height_px)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::timeline::Role;
    use domain::Span;
    use ffmpeg_next::format::Pixel;
    use std::thread;

    #[test]
    fn whoever_comes_each_size_is_made_once_and_upright() {
        let sizes = [size(180, 320), size(90, 160), size(44, 80)];
        let cascade = cascade_plan(size(320, 180), &sizes).cascade(&part(1)).map(Arc::new);
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
        let shared = SharedFrame::new(decoded, cascade);
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
        for (place, frame) in drawn.iter().enumerate() {
            assert_eq!(size(frame.width(), frame.height()), sizes[place % 3]);
            assert_eq!(
                frame.data(0).as_ptr(),
                drawn[place % 3].data(0).as_ptr(),
                "the same samples"
            );
            let (stride, rows) = (frame.stride(0), usize::try_from(frame.height()).unwrap());
            let luma = |row: usize| frame.data(0)[row * stride + 10];
            assert_eq!((luma(rows / 4), luma(rows * 3 / 4)), (200, 40));
        }
        assert!(shared.at(size(2, 2)).is_err(), "no step of that size");
        assert_eq!(shared.decoded().unwrap().width(), 320);
    }

    const fn size(width_px: u32, height_px: u32) -> Size {
        Size { width_px, height_px }
    }

    fn part(quarter_turns: u8) -> Part {
        Part {
            role: Role::Span { last: true },
            file: 0,
            video: Some(SourceVideo {
                stream: 0,
                mirrored: false,
                quarter_turns,
                deinterlace: false,
                tone_map: false,
                size: Size::default(),
                sample_aspect: None,
            }),
            audio_stream: None,
            span: Span::default(),
            length_us: 0,
            at_us: 0,
            overhang_us: 0,
            origin_us: None,
            jumps: false,
        }
    }

    fn cascade_plan(coded: Size, sizes: &[Size]) -> CascadePlan {
        CascadePlan {
            sizes: sizes.to_vec(),
            coded,
            threads: 1,
        }
    }

    #[test]
    fn a_size_is_made_of_the_next_one_that_is_larger_by_a_quarter() {
        let wide = [
            size(1920, 1080),
            size(1280, 720),
            size(960, 540),
            size(854, 480),
            size(640, 360),
        ];
        let above = |coded: Size, turns: u8, sizes: &[Size]| {
            let cascade = cascade_plan(coded, sizes).cascade(&part(turns)).unwrap();
            cascade.steps.iter().map(|step| step.above).collect::<Vec<_>>()
        };
        let ladder = vec![None, Some(0), Some(1), Some(1), Some(3)];
        assert_eq!(above(size(1920, 1080), 0, &wide), ladder);
        // Anamorphic: wider than it is coded, and no higher.
        assert_eq!(above(size(1440, 1080), 0, &wide), ladder);
        // The largest two are enlarged.
        let enlarged = vec![None, None, None, None, Some(3)];
        assert_eq!(above(size(854, 480), 0, &wide), enlarged);
        let high = [size(1080, 1920), size(720, 1280)];
        assert_eq!(above(size(1920, 1080), 1, &high), [None, Some(0)]);
    }

    #[test]
    fn a_card_and_a_single_output_share_nothing() {
        let sizes = [size(64, 36)];
        let card = Part {
            role: Role::Intro,
            ..part(0)
        };
        assert!(cascade_plan(size(64, 36), &sizes).cascade(&card).is_none());
        assert!(cascade_plan(size(64, 36), &[]).cascade(&part(0)).is_none());
    }
}
