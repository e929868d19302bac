//! Makes an animated GIF that loops for ever.

use crate::engine::context::OutputContext;
use crate::engine::encode::encoder::Encoder;
use crate::engine::encode::video;
use crate::engine::error::{self, nothing_decoded};
use crate::engine::fanout::channel::{Inbox, Piece};
use crate::engine::ffi::frame;
use crate::engine::mux::container::Container;
use crate::engine::mux::muxer::Muxer;
use crate::engine::video::color;
use crate::engine::video::constant_frame_rate::ConstantFrameRate;
use crate::engine::video::filter_description::{self, TargetFormat};
use crate::engine::video::filter_graph::{FilterGraph, StillInput};
use crate::engine::video::frame_renderer::FrameRenderer;
use domain::plan::Picture;
use domain::protocol::Made;
use domain::{Failure, Rational};
use ffmpeg_next::frame::Video;
use std::ops::Range;

/// Most bytes of pictures that wait for the palette they share.
const MAX_HELD_BYTES: u64 = 64 << 20;

/// The name under which the graph gets the palette.
const PALETTE: &str = "palette";

/// Microseconds in the unit of time of the format.
const TICK_US: u64 = 10_000;

/// What the plan orders for the animation.
pub(crate) struct GifSpec<'a> {
    pub(crate) layout: &'a Picture,
    pub(crate) fps: Rational,
    pub(crate) start_us: u64,
    pub(crate) length_us: u64,
}

/// Makes the animation from the pictures that come.
pub(crate) fn run(context: &OutputContext<'_>, file: &str, order: &GifSpec<'_>, from: &Inbox) -> Result<Made, Failure> {
    let mut gif = Gif::open(context, file, order)?;
    let slots = order.fps.frames_in(order.length_us).max(1);
    let mut constant_rate = ConstantFrameRate::new(order.fps, Some(slots), order.length_us);
    for piece in from {
        context.check()?;
        let out = match piece {
            Piece::Frame {
                frame,
                at_us,
                duration_us,
            } => constant_rate.push(frame, at_us, duration_us),
            Piece::VideoEnd { until_us } => constant_rate.end(until_us),
            _ => None,
        };
        if let Some((frame, slots)) = out {
            gif.show(&frame.decoded()?, slots)?;
            context.meter.reached(order.fps.duration_us(gif.frames));
        }
    }
    context.check()?;
    gif.finish(file)
}

/// An animation being made. One palette for all of it looks best and lets what stands still stay as it is, but it is
/// known only when all pictures are. So they wait, and when too many do, those that wait get a palette of their own:
/// the source is decoded once, and memory is bounded.
struct Gif<'a> {
    context: &'a OutputContext<'a>,
    fps: Rational,
    start_us: u64,
    renderer: FrameRenderer<'a>,
    muxer: Muxer,
    encoder: Encoder,
    /// Drawn pictures and their slots.
    held: Vec<(Video, Range<u64>)>,
    held_bytes: u64,
    frames: u64,
}

impl<'a> Gif<'a> {
    fn open(context: &'a OutputContext<'a>, file: &str, order: &GifSpec<'a>) -> Result<Self, Failure> {
        let mut muxer = Muxer::create(context.scratch, file, Container::Gif, context.meter.stage())?;
        let mut encoder = video::open_gif(order.layout.canvas)?;
        encoder.join(&mut muxer)?;
        muxer.start()?;
        Ok(Self {
            context,
            fps: order.fps,
            start_us: order.start_us,
            renderer: FrameRenderer::new(context, order.layout, TargetFormat::Movie)?,
            muxer,
            encoder,
            held: Vec::new(),
            held_bytes: 0,
            frames: 0,
        })
    }

    /// Shows a picture in its slots.
    fn show(&mut self, frame: &Video, slots: Range<u64>) -> Result<(), Failure> {
        if self.renderer.changes() {
            slots.into_iter().try_for_each(|slot| self.hold(frame, slot..slot + 1))
        } else {
            self.hold(frame, slots)
        }
    }

    fn hold(&mut self, frame: &Video, slots: Range<u64>) -> Result<(), Failure> {
        let at_us = self.start_us + self.fps.duration_us(slots.start);
        let drawn = self.renderer.draw(frame, i64::try_from(at_us).unwrap_or(i64::MAX))?;
        let bytes = u64::from(drawn.width()) * u64::from(drawn.height()) * 3 / 2;
        if self.held_bytes + bytes > MAX_HELD_BYTES {
            self.encode_held()?;
        }
        self.frames = slots.end;
        self.held.push((drawn, slots));
        self.held_bytes += bytes;
        Ok(())
    }

    /// Encodes the pictures that wait with a palette made of them.
    fn encode_held(&mut self) -> Result<(), Failure> {
        let held = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        let Some((first, _)) = held.first() else {
            return Ok(());
        };
        let colors = filter_description::rgb(self.matrix()?);
        let graph = |description: &str, beside: &[StillInput<'_>]| {
            FilterGraph::new(
                frame::shape(first),
                self.renderer.base,
                description,
                beside,
                self.context.threads,
            )
        };
        let mut collect = graph(&format!("[in]{colors},palettegen[out]"), &[])?;
        for (place, (frame, _)) in (0..).zip(&held) {
            self.context.check()?;
            collect.push(&timed(frame, place)?)?;
            self.context.meter.stage().moves();
        }
        collect.finish()?;
        let palette = collect.pull()?.ok_or_else(|| error::missing("the palette"))?;
        let beside = StillInput {
            from: 0,
            name: PALETTE,
            frame: &palette,
        };
        let mut paint = graph(
            &format!("[in]{colors}[rgb];[rgb][{PALETTE}]paletteuse=diff_mode=rectangle[out]"),
            &[beside],
        )?;
        let mut waiting = held.iter().map(|(_, slots)| slots.clone());
        for (place, (frame, _)) in (0..).zip(&held) {
            self.context.check()?;
            paint.push(&timed(frame, place)?)?;
            self.context.meter.stage().moves();
            self.encode_all(&mut paint, &mut waiting)?;
        }
        paint.finish()?;
        self.encode_all(&mut paint, &mut waiting)
    }

    /// Encodes what is painted, each picture for its slots.
    fn encode_all(
        &mut self,
        paint: &mut FilterGraph,
        waiting: &mut dyn Iterator<Item = Range<u64>>,
    ) -> Result<(), Failure> {
        while let Some(mut painted) = paint.pull()? {
            for slot in waiting.next().unwrap_or_default() {
                let tick = (self.fps.duration_us(slot) + TICK_US / 2) / TICK_US;
                let packets = self.encoder.encode_frame(&mut painted, tick, false, &mut self.muxer)?;
                self.context.meter.add_frames(packets);
            }
        }
        Ok(())
    }

    fn matrix(&self) -> Result<ffmpeg_next::color::Space, Failure> {
        let (_, coded, numbers) = self.context.video()?;
        Ok(color::of_output(&numbers, coded).matrix)
    }

    fn finish(mut self, file: &str) -> Result<Made, Failure> {
        if self.frames == 0 {
            return Err(nothing_decoded("the pictures"));
        }
        self.encode_held()?;
        self.encoder.finish(&mut self.muxer)?;
        self.muxer.finish()?;
        Ok(Made {
            file: file.to_owned(),
            frames: self.frames,
            duration_us: self.fps.duration_us(self.frames),
            ..Made::default()
        })
    }
}

fn timed(frame: &Video, place: i64) -> Result<Video, Failure> {
    let mut twin = frame::share_video(frame).map_err(|error| error::engine("picture", error))?;
    twin.set_pts(Some(place));
    Ok(twin)
}
