//! Scaling cascade: scales each frame once per size and shares the result between outputs.
//!
//! *Problem.* Outputs run on threads of their own, and several of them need the same frame at the same or a smaller
//! size. When each scales from the decoded frame, the full resolution is read, rotated and tone-mapped once per output.
//!
//! *Mechanism.* [`CascadePlan`] collects the sizes of all encoded videos, largest first. Each size is a step of the
//! [`ScalingCascade`]: it is scaled from the smallest larger size that is sharp enough ([`is_sharp_enough`]), or from
//! the decoded frame. Steps from the decoded frame also rotate, tone-map and convert to the color of the output. Frames
//! of the cascade are therefore normalized: [`ScalingCascade::normalized_part`] tells outputs that only crop or pad,
//! and the watermark, are left to do.
//!
//! A [`SharedFrame`] is a decoded frame with an empty cell per step. The first output that asks for a size renders it
//! and the sizes above it; others wait for the cell and share its buffers.
//!
//! *Invariants.*
//!
//! - A size of a frame is rendered at most once, and only if an output needs it: frames that get no slot are not
//!   scaled.
//! - A step depends on larger steps only, so waiting for cells cannot deadlock.
//! - Memory for the sizes is freed with the last handle on the frame.
//!
//! *Rejected.*
//!
//! - One filter graph with `split` for all outputs: it scales in one thread, and for outputs that drop the frame as
//!   well.
//! - Scaling always from the next larger size: one that is hardly larger adds blur.

use crate::engine::decode::timeline::Part;
use crate::engine::error;
use crate::engine::ffi::frame::{self, FrameFormat};
use crate::engine::video::filter_description::{self, TargetFormat};
use crate::engine::video::filter_graph::FilterGraph;
use domain::Failure;
use domain::plan::{Content, FrameLayout, Movie, PlannedOutput, SourceVideo, VideoTrack};
use domain::probe::Size;
use ffmpeg_next::Rational;
use ffmpeg_next::frame::Video;
use std::cmp::Reverse;
use std::sync::{Arc, Mutex, OnceLock};

/// The steps from a decoded frame to all sizes, for one span of the source.
pub(crate) struct ScalingCascade {
    source: SourceVideo,
    steps: Vec<Step>,
    threads: u32,
}

struct Step {
    size: Size,
    /// Index of the larger step from which it is scaled; `None` for the decoded frame.
    from: Option<usize>,
    /// Graph for the format of the latest frame. The lock also keeps outputs from using it at the same time.
    graph: Mutex<Option<FilterGraph>>,
}

impl ScalingCascade {
    /// The part as outputs see it that get their frames from a cascade: rotation, deinterlacing, tone mapping and
    /// scaling are already applied.
    pub(crate) fn normalized_part(part: Part) -> Part {
        Part {
            video: part.video.map(normalized),
            ..part
        }
    }

    fn render(&self, step: &Step, from: &Video) -> Result<Video, Failure> {
        let mut cached = step.graph.lock().map_err(|_| error::thread_panicked())?;
        // Taken out of the cell, so that a graph that has failed is not used again.
        let mut graph = match cached.take().filter(|graph| graph.accepts(from)) {
            Some(graph) => graph,
            None => self.build_graph(step, frame::frame_format(from))?,
        };
        let mut frame = share(from)?;
        // Time does not matter: nothing in the graph depends on it.
        frame.set_pts(Some(0));
        graph.push(&frame)?;
        let rendered = graph
            .pull()?
            .ok_or_else(|| error::engine_failure("filter", ffmpeg_next::Error::Bug));
        *cached = Some(graph);
        rendered
    }

    fn build_graph(&self, step: &Step, input: FrameFormat) -> Result<FilterGraph, Failure> {
        let source = step.from.map_or(self.source, |_| normalized(self.source));
        let layout = FrameLayout {
            scaled: step.size,
            canvas: step.size,
            watermark: None,
        };
        let description = filter_description::description(&input, &source, &layout, TargetFormat::Movie, None);
        FilterGraph::new(input, Rational::new(1, 1), &description, &[], self.threads)
    }
}

/// Facts of a source whose frames come from the cascade.
const fn normalized(source: SourceVideo) -> SourceVideo {
    SourceVideo {
        mirrored: false,
        quarter_turns: 0,
        deinterlace: false,
        tone_map: false,
        // Zero stands for the size of the frame: it fills the layout at any aspect ratio.
        size: Size {
            width_px: 0,
            height_px: 0,
        },
        sample_aspect: None,
        ..source
    }
}

/// A decoded frame and its scaled sizes, shared by outputs. Clones are cheap handles on the same buffers.
#[derive(Clone)]
pub(crate) struct SharedFrame(Arc<FrameSizes>);

struct FrameSizes {
    decoded: Video,
    cascade: Option<Arc<ScalingCascade>>,
    /// The frame at each step of the cascade, once an output has asked for it.
    scaled: Vec<OnceLock<Result<Video, Failure>>>,
}

impl SharedFrame {
    /// Wraps a decoded frame. Without a cascade, outputs scale it themselves.
    pub(crate) fn new(decoded: Video, cascade: Option<Arc<ScalingCascade>>) -> Self {
        let count = cascade.as_ref().map_or(0, |cascade| cascade.steps.len());
        Self(Arc::new(FrameSizes {
            decoded,
            cascade,
            scaled: (0..count).map(|_| OnceLock::new()).collect(),
        }))
    }

    /// The frame as it was decoded.
    pub(crate) fn decoded(&self) -> Result<Video, Failure> {
        share(&self.0.decoded)
    }

    /// The normalized frame at one of the sizes of the cascade; the decoded frame if there is no cascade.
    ///
    /// # Errors
    /// Those of the filter graph. All outputs that ask for the size get the same error.
    pub(crate) fn scaled_to(&self, size: Size) -> Result<Video, Failure> {
        let Some(cascade) = &self.0.cascade else {
            return self.decoded();
        };
        let index = cascade.steps.iter().position(|step| step.size == size);
        let index = index.ok_or_else(|| error::missing_component("the size"))?;
        self.0.render_step(cascade, index).and_then(share)
    }
}

impl FrameSizes {
    /// The frame at a step. Renders it, and first the step from which it is scaled, unless that has been done.
    fn render_step(&self, cascade: &ScalingCascade, index: usize) -> Result<&Video, Failure> {
        let (Some(cell), Some(step)) = (self.scaled.get(index), cascade.steps.get(index)) else {
            return Err(error::missing_component("the step"));
        };
        let rendered = cell.get_or_init(|| {
            let from = step.from.map(|from| self.render_step(cascade, from)).transpose()?;
            cascade.render(step, from.unwrap_or(&self.decoded))
        });
        rendered.as_ref().map_err(Clone::clone)
    }
}

impl From<Video> for SharedFrame {
    /// A frame without a cascade.
    fn from(decoded: Video) -> Self {
        Self::new(decoded, None)
    }
}

fn share(frame: &Video) -> Result<Video, Failure> {
    frame::share_video(frame).map_err(|error| error::engine_failure("frame", error))
}

/// Sizes that the encoders of a plan can share.
pub(crate) struct CascadePlan {
    /// Largest first. Empty when there are fewer than two encoders, since nothing can be shared then.
    sizes: Vec<Size>,
    /// Coded size of the source.
    coded: Size,
    threads: u32,
}

impl CascadePlan {
    /// Collects the sizes of all encoded videos, for a source of this coded size.
    pub(crate) fn new(outputs: &[PlannedOutput], coded: Size, threads: u32) -> Self {
        Self {
            sizes: shared_sizes(outputs),
            coded,
            threads,
        }
    }

    /// Cascade for a part; `None` for bumpers and when nothing can be shared.
    pub(crate) fn cascade(&self, part: &Part) -> Option<ScalingCascade> {
        let source = part.video.filter(|_| part.is_span() && !self.sizes.is_empty())?;
        let upright = filter_description::rotated(self.coded, source.quarter_turns);
        let steps = self.sizes.iter().enumerate().map(|(index, size)| Step {
            size: *size,
            // The last match is the smallest: scaling from fewer pixels is faster.
            from: self
                .sizes
                .iter()
                .take(index)
                .rposition(|larger| is_sharp_enough(*larger, *size, upright)),
            graph: Mutex::new(None),
        });
        Some(ScalingCascade {
            source,
            steps: steps.collect(),
            threads: self.threads,
        })
    }
}

fn shared_sizes(outputs: &[PlannedOutput]) -> Vec<Size> {
    let tracks = outputs.iter().flat_map(|output| match &output.content {
        Content::Movie(Movie { video, .. }) => vec![video],
        Content::Hls(hls) => hls.rungs.iter().map(|rung| &rung.video).collect(),
        Content::Audio { .. } | Content::Gif { .. } | Content::Poster { .. } | Content::Sprite { .. } => Vec::new(),
    });
    let mut sizes: Vec<_> = tracks
        .filter_map(|track| match track {
            VideoTrack::Encode(encode) => Some(encode.layout.scaled),
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

/// Returns `true` when `size` may be scaled from `larger` instead of the source. Less than 1.25 times the width or
/// height would add visible blur. An enlarged size has more pixels than the source, but no more detail.
fn is_sharp_enough(larger: Size, size: Size, source: Size) -> bool {
    let is_ample = |larger: u32, side: u32| u64::from(larger) * 4 >= u64::from(side) * 5;
    let is_enlarged = larger.width_px > source.width_px && larger.height_px > source.height_px;
    !is_enlarged && is_ample(larger.width_px, size.width_px) && is_ample(larger.height_px, size.height_px)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::timeline::Role;
    use domain::Span;
    use ffmpeg_next::format::Pixel;
    use std::thread;

    #[test]
    fn threads_that_ask_for_a_size_share_one_upright_frame() {
        let sizes = [size(180, 320), size(90, 160), size(44, 80)];
        let cascade = cascade_plan(size(320, 180), &sizes).cascade(&part(1)).map(Arc::new);
        let mut decoded = Video::new(Pixel::YUV420P, 320, 180);
        for plane in 0..3 {
            let (stride, width) = (
                decoded.stride(plane),
                usize::try_from(decoded.plane_width(plane)).unwrap(),
            );
            for row in decoded.data_mut(plane).chunks_mut(stride) {
                // Bright on the left, which is the top after a clockwise turn.
                row[..width / 2].fill(if plane == 0 { 200 } else { 128 });
                row[width / 2..].fill(if plane == 0 { 40 } else { 128 });
            }
        }
        let shared = SharedFrame::new(decoded, cascade);
        let rendered = thread::scope(|scope| {
            let threads: Vec<_> = (0..9)
                .map(|index| {
                    let shared = &shared;
                    scope.spawn(move || shared.scaled_to(sizes[index % 3]).unwrap())
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect::<Vec<_>>()
        });
        for (index, frame) in rendered.iter().enumerate() {
            assert_eq!(size(frame.width(), frame.height()), sizes[index % 3]);
            assert_eq!(
                frame.data(0).as_ptr(),
                rendered[index % 3].data(0).as_ptr(),
                "the same samples"
            );
            let (stride, rows) = (frame.stride(0), usize::try_from(frame.height()).unwrap());
            let luma = |row: usize| frame.data(0)[row * stride + 10];
            assert_eq!((luma(rows / 4), luma(rows * 3 / 4)), (200, 40));
        }
        assert!(shared.scaled_to(size(2, 2)).is_err(), "no step of that size");
        assert_eq!(shared.decoded().unwrap().width(), 320);
    }

    const fn size(width_px: u32, height_px: u32) -> Size {
        Size { width_px, height_px }
    }

    fn part(quarter_turns: u8) -> Part {
        Part {
            role: Role::Span { last: true },
            source_index: 0,
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
            duration_us: 0,
            timeline_us: 0,
            audio_overhang_us: 0,
            origin_us: None,
            has_discontinuity: false,
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
    fn a_size_is_scaled_from_the_smallest_one_that_is_larger_by_a_quarter() {
        let wide = [
            size(1920, 1080),
            size(1280, 720),
            size(960, 540),
            size(854, 480),
            size(640, 360),
        ];
        let from = |coded: Size, turns: u8, sizes: &[Size]| {
            let cascade = cascade_plan(coded, sizes).cascade(&part(turns)).unwrap();
            cascade.steps.iter().map(|step| step.from).collect::<Vec<_>>()
        };
        let ladder = vec![None, Some(0), Some(1), Some(1), Some(3)];
        assert_eq!(from(size(1920, 1080), 0, &wide), ladder);
        // Anamorphic: the display size is wider than the coded size, but not higher.
        assert_eq!(from(size(1440, 1080), 0, &wide), ladder);
        // The largest three are enlarged, so the fourth is scaled from the source.
        let enlarged = vec![None, None, None, None, Some(3)];
        assert_eq!(from(size(854, 480), 0, &wide), enlarged);
        let high = [size(1080, 1920), size(720, 1280)];
        assert_eq!(from(size(1920, 1080), 1, &high), [None, Some(0)]);
    }

    #[test]
    fn a_bumper_and_a_single_output_have_no_cascade() {
        let sizes = [size(64, 36)];
        let bumper = Part {
            role: Role::Intro,
            ..part(0)
        };
        assert!(cascade_plan(size(64, 36), &sizes).cascade(&bumper).is_none());
        assert!(cascade_plan(size(64, 36), &[]).cascade(&part(0)).is_none());
    }
}
