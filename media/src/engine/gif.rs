//! Makes an animation for players of GIF: pictures of 256 colors that come for ever again.

use super::cadence::Cadence;
use super::drawing::Drawing;
use super::encode::{self, Encoder};
use super::feed::{Inbox, Piece};
use super::graph::{Beside, Graph};
use super::mux::{Container, Mux};
use super::picture::{self, Finish};
use super::reader::nothing_decoded;
use super::transcode::Job;
use super::{av, color, fault};
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
pub(super) struct Order<'a> {
    pub(super) picture: &'a Picture,
    pub(super) fps: Rational,
    pub(super) start_us: u64,
    pub(super) length_us: u64,
}

/// Makes the animation from the pictures that come.
pub(super) fn run(job: &Job<'_>, file: &str, order: &Order<'_>, from: &Inbox) -> Result<Made, Failure> {
    let mut gif = Gif::open(job, file, order)?;
    let slots = order.fps.frames_in(order.length_us).max(1);
    let mut cadence = Cadence::new(order.fps, Some(slots), order.length_us);
    for piece in from {
        job.check()?;
        let out = match piece {
            Piece::Picture {
                picture,
                at_us,
                duration_us,
            } => cadence.push(picture, at_us, duration_us),
            Piece::PicturesEnd { until_us } => cadence.end(until_us),
            _ => None,
        };
        if let Some((picture, slots)) = out {
            gif.show(&picture.decoded()?, slots)?;
            job.meter.reached(order.fps.duration_us(gif.frames));
        }
    }
    job.check()?;
    gif.finish(file)
}

/// An animation being made. One palette for all of it looks best and lets what stands still stay as it is, but it is
/// known only when all pictures are. So they wait, and when too many do, those that wait get a palette of their own:
/// the source is decoded once, and memory is bounded.
struct Gif<'a> {
    job: &'a Job<'a>,
    fps: Rational,
    start_us: u64,
    drawing: Drawing<'a>,
    mux: Mux,
    encoder: Encoder,
    /// Drawn pictures and their slots.
    held: Vec<(Video, Range<u64>)>,
    held_bytes: u64,
    frames: u64,
}

impl<'a> Gif<'a> {
    fn open(job: &'a Job<'a>, file: &str, order: &Order<'a>) -> Result<Self, Failure> {
        let mut mux = Mux::create(job.scratch, file, Container::Gif, job.meter.stage())?;
        let mut encoder = encode::gif(order.picture.canvas)?;
        encoder.join(&mut mux)?;
        mux.start()?;
        Ok(Self {
            job,
            fps: order.fps,
            start_us: order.start_us,
            drawing: Drawing::new(job, order.picture, Finish::Movie)?,
            mux,
            encoder,
            held: Vec::new(),
            held_bytes: 0,
            frames: 0,
        })
    }

    /// Shows a picture in its slots.
    fn show(&mut self, picture: &Video, slots: Range<u64>) -> Result<(), Failure> {
        if self.drawing.changes() {
            slots
                .into_iter()
                .try_for_each(|slot| self.hold(picture, slot..slot + 1))
        } else {
            self.hold(picture, slots)
        }
    }

    fn hold(&mut self, picture: &Video, slots: Range<u64>) -> Result<(), Failure> {
        let at_us = self.start_us + self.fps.duration_us(slots.start);
        let drawn = self.drawing.draw(picture, i64::try_from(at_us).unwrap_or(i64::MAX))?;
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
        let colors = picture::rgb(self.matrix()?);
        let graph = |description: &str, beside: &[Beside<'_>]| {
            Graph::new(
                av::shape(first),
                self.drawing.base,
                description,
                beside,
                self.job.threads,
            )
        };
        let mut collect = graph(&format!("[in]{colors},palettegen[out]"), &[])?;
        for (place, (picture, _)) in (0..).zip(&held) {
            self.job.check()?;
            collect.push(&timed(picture, place)?)?;
            self.job.meter.stage().moves();
        }
        collect.finish()?;
        let palette = collect.pull()?.ok_or_else(|| fault::missing("the palette"))?;
        let beside = Beside {
            from: 0,
            name: PALETTE,
            picture: &palette,
        };
        let mut paint = graph(
            &format!("[in]{colors}[rgb];[rgb][{PALETTE}]paletteuse=diff_mode=rectangle[out]"),
            &[beside],
        )?;
        let mut waiting = held.iter().map(|(_, slots)| slots.clone());
        for (place, (picture, _)) in (0..).zip(&held) {
            self.job.check()?;
            paint.push(&timed(picture, place)?)?;
            self.job.meter.stage().moves();
            self.encode_all(&mut paint, &mut waiting)?;
        }
        paint.finish()?;
        self.encode_all(&mut paint, &mut waiting)
    }

    /// Encodes what is painted, each picture for its slots.
    fn encode_all(&mut self, paint: &mut Graph, waiting: &mut dyn Iterator<Item = Range<u64>>) -> Result<(), Failure> {
        while let Some(mut painted) = paint.pull()? {
            for slot in waiting.next().unwrap_or_default() {
                let tick = (self.fps.duration_us(slot) + TICK_US / 2) / TICK_US;
                let packets = self.encoder.picture(&mut painted, tick, false, &mut self.mux)?;
                self.job.meter.add_frames(packets);
            }
        }
        Ok(())
    }

    fn matrix(&self) -> Result<ffmpeg_next::color::Space, Failure> {
        let (_, coded, numbers) = self.job.picture()?;
        Ok(color::of_output(&numbers, coded).matrix)
    }

    fn finish(mut self, file: &str) -> Result<Made, Failure> {
        if self.frames == 0 {
            return Err(nothing_decoded("the pictures"));
        }
        self.encode_held()?;
        self.encoder.finish(&mut self.mux)?;
        self.mux.finish()?;
        Ok(Made {
            file: file.to_owned(),
            frames: self.frames,
            duration_us: self.fps.duration_us(self.frames),
            ..Made::default()
        })
    }
}

fn timed(picture: &Video, place: i64) -> Result<Video, Failure> {
    let mut twin = av::share_picture(picture).map_err(|error| fault::engine("picture", error))?;
    twin.set_pts(Some(place));
    Ok(twin)
}
