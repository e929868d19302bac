//! Encodes an animated GIF that loops forever.
//!
//! *Problem.* A GIF has at most 256 colors per palette. One palette for the whole animation looks best, and pixels that
//! do not change need not be encoded again. But the palette depends on all frames, and the source is decoded only once.
//!
//! *Mechanism.* Rendered frames are held in memory. `palettegen` computes a palette from them, `paletteuse` maps them,
//! and they are encoded. When the held frames exceed [`MAX_HELD_BYTES`], they are encoded with a palette of their own,
//! so that memory stays bounded. A second decode of the source was rejected, because it doubles the time.

use crate::engine::context::OutputContext;
use crate::engine::encode::encoder::Encoder;
use crate::engine::encode::video;
use crate::engine::error::{self, nothing_decoded};
use crate::engine::fanout::channel::{MediaItem, MediaReceiver};
use crate::engine::ffi::frame;
use crate::engine::mux::container::Container;
use crate::engine::mux::muxer::Muxer;
use crate::engine::video::color;
use crate::engine::video::constant_frame_rate::ConstantFrameRate;
use crate::engine::video::filter_description::{self, TargetFormat};
use crate::engine::video::filter_graph::{FilterGraph, StillInput};
use crate::engine::video::frame_renderer::FrameRenderer;
use domain::plan::FrameLayout;
use domain::protocol::OutputReport;
use domain::{Failure, Rational};
use ffmpeg_next::frame::Video;
use std::ops::Range;

/// Maximum size of the frames that share a palette, in bytes.
const MAX_HELD_BYTES: u64 = 64 << 20;

/// Name of the palette input of the filter graph.
const PALETTE: &str = "palette";

/// The time unit of GIF: a hundredth of a second.
const TICK_US: u64 = 10_000;

/// The parameters of a GIF.
pub(crate) struct GifSpec<'a> {
    pub(crate) layout: &'a FrameLayout,
    pub(crate) fps: Rational,
    /// Start of the animation in microseconds after the start of the joined spans.
    pub(crate) start_us: u64,
    pub(crate) duration_us: u64,
}

/// Encodes the received frames as an animation.
pub(crate) fn run(
    context: &OutputContext<'_>,
    file: &str,
    spec: &GifSpec<'_>,
    receiver: &MediaReceiver,
) -> Result<OutputReport, Failure> {
    let mut gif = Gif::open(context, file, spec)?;
    let slots = spec.fps.frames_in(spec.duration_us).max(1);
    let mut constant_rate = ConstantFrameRate::new(spec.fps, Some(slots), spec.duration_us);
    for item in receiver {
        context.check()?;
        let out = match item {
            MediaItem::Frame {
                frame,
                at_us,
                duration_us,
            } => constant_rate.push(frame, at_us, duration_us),
            MediaItem::VideoEnd { until_us } => constant_rate.finish(until_us),
            _ => None,
        };
        if let Some((frame, slots)) = out {
            gif.push(&frame.decoded()?, slots)?;
            context.progress.advance_to(spec.fps.duration_us(gif.frames));
        }
    }
    context.check()?;
    gif.finish(file)
}

/// An animation that is being encoded.
struct Gif<'a> {
    context: &'a OutputContext<'a>,
    fps: Rational,
    start_us: u64,
    renderer: FrameRenderer<'a>,
    muxer: Muxer,
    encoder: Encoder,
    /// Rendered frames that wait for their palette.
    held: Vec<HeldFrame>,
    held_bytes: u64,
    /// Number of frames at the constant frame rate so far.
    frames: u64,
}

struct HeldFrame {
    frame: Video,
    /// Frame numbers at the constant frame rate that show this frame.
    slots: Range<u64>,
}

impl<'a> Gif<'a> {
    fn open(context: &'a OutputContext<'a>, file: &str, spec: &GifSpec<'a>) -> Result<Self, Failure> {
        let mut muxer = Muxer::create(context.scratch, file, Container::Gif, context.progress.stage())?;
        let mut encoder = video::open_gif(spec.layout.canvas)?;
        encoder.add_stream_to(&mut muxer)?;
        muxer.write_header()?;
        Ok(Self {
            context,
            fps: spec.fps,
            start_us: spec.start_us,
            renderer: FrameRenderer::new(context, spec.layout, TargetFormat::Movie)?,
            muxer,
            encoder,
            held: Vec::new(),
            held_bytes: 0,
            frames: 0,
        })
    }

    /// Renders and holds a frame for its slots; once per slot if the watermark begins or ends within them.
    fn push(&mut self, frame: &Video, slots: Range<u64>) -> Result<(), Failure> {
        if self.renderer.is_time_dependent() {
            slots.into_iter().try_for_each(|slot| self.hold(frame, slot..slot + 1))
        } else {
            self.hold(frame, slots)
        }
    }

    fn hold(&mut self, frame: &Video, slots: Range<u64>) -> Result<(), Failure> {
        let at_us = self.start_us + self.fps.duration_us(slots.start);
        let rendered = self.renderer.render(frame, i64::try_from(at_us).unwrap_or(i64::MAX))?;
        // 4:2:0 with eight bits per sample.
        let bytes = u64::from(rendered.width()) * u64::from(rendered.height()) * 3 / 2;
        if self.held_bytes + bytes > MAX_HELD_BYTES {
            self.encode_held()?;
        }
        self.frames = slots.end;
        self.held.push(HeldFrame { frame: rendered, slots });
        self.held_bytes += bytes;
        Ok(())
    }

    /// Encodes the held frames with a palette that is computed from them.
    fn encode_held(&mut self) -> Result<(), Failure> {
        let held = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        let Some(HeldFrame { frame: first, .. }) = held.first() else {
            return Ok(());
        };
        let colors = filter_description::to_bgra(self.matrix()?);
        let graph = |description: &str, still_inputs: &[StillInput<'_>]| {
            FilterGraph::new(
                frame::frame_format(first),
                self.renderer.time_base,
                description,
                still_inputs,
                self.context.threads,
            )
        };
        let mut palette_graph = graph(&format!("[in]{colors},palettegen[out]"), &[])?;
        for (pts, held) in (0..).zip(&held) {
            self.context.check()?;
            palette_graph.push(&with_pts(&held.frame, pts)?)?;
            self.context.progress.stage().count_item();
        }
        palette_graph.finish()?;
        let palette = palette_graph
            .pull()?
            .ok_or_else(|| error::missing_component("the palette"))?;
        let palette_input = StillInput {
            from: 0,
            name: PALETTE,
            frame: &palette,
        };
        let mut mapper = graph(
            &format!("[in]{colors}[rgb];[rgb][{PALETTE}]paletteuse=diff_mode=rectangle[out]"),
            &[palette_input],
        )?;
        // `paletteuse` returns one frame per input frame, in the same spec.
        let mut slots = held.iter().map(|held| held.slots.clone());
        for (pts, held) in (0..).zip(&held) {
            self.context.check()?;
            mapper.push(&with_pts(&held.frame, pts)?)?;
            self.context.progress.stage().count_item();
            self.encode_mapped(&mut mapper, &mut slots)?;
        }
        mapper.finish()?;
        self.encode_mapped(&mut mapper, &mut slots)
    }

    /// Encodes the frames that the graph has finished, each once per slot: the encoder drops pixels that do not change.
    fn encode_mapped(
        &mut self,
        mapper: &mut FilterGraph,
        slots: &mut dyn Iterator<Item = Range<u64>>,
    ) -> Result<(), Failure> {
        while let Some(mut mapped) = mapper.pull()? {
            for slot in slots.next().unwrap_or_default() {
                let tick = (self.fps.duration_us(slot) + TICK_US / 2) / TICK_US;
                let packets = self.encoder.encode_frame(&mut mapped, tick, false, &mut self.muxer)?;
                self.context.progress.add_frames(packets);
            }
        }
        Ok(())
    }

    /// Returns the YUV matrix of the rendered frames, for the conversion to RGB.
    fn matrix(&self) -> Result<ffmpeg_next::color::Space, Failure> {
        let (_, coded_size, color_numbers) = self.context.video()?;
        Ok(color::output_color(&color_numbers, coded_size).matrix)
    }

    fn finish(mut self, file: &str) -> Result<OutputReport, Failure> {
        if self.frames == 0 {
            return Err(nothing_decoded("the video"));
        }
        self.encode_held()?;
        self.encoder.finish(&mut self.muxer)?;
        self.muxer.finish()?;
        Ok(OutputReport {
            file: file.to_owned(),
            frames: self.frames,
            duration_us: self.fps.duration_us(self.frames),
            ..OutputReport::default()
        })
    }
}

/// Returns a reference to the same pixels with another pts.
fn with_pts(frame: &Video, pts: i64) -> Result<Video, Failure> {
    let mut shared = frame::share_video(frame).map_err(|error| error::engine_failure("frame", error))?;
    shared.set_pts(Some(pts));
    Ok(shared)
}
