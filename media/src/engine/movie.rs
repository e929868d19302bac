//! Makes one movie: card, pictures at a constant rate, card; and under it sound of the same length.

use super::color;
use super::copied::Sounds;
use super::descent::Shared;
use super::encode::{self, Encoder};
use super::feed::{Inbox, Piece};
use super::hls::{Cuts, Rendition};
use super::level::Level;
use super::mux::{Container, Mux, Reel};
use super::parts::Part;
use super::progress::Meter;
use super::reader::nothing_decoded;
use super::scene::{Canvas, Scene};
use super::soundtrack::Soundtrack;
use super::transcode::Job;
use domain::plan::{AudioTrack, Card, VideoOrder};
use domain::protocol::{Copied, DroppedFrames, Made};
use domain::{Failure, Plan};
use ffmpeg_next::Packet;
use ffmpeg_next::frame::{Audio, Video};
use std::ops::Range;

/// Sound that is so far ahead of the pictures, in microseconds, no longer waits for the next one: containers keep their
/// streams nearer together.
pub(super) const AHEAD_US: i64 = 30_000_000;

/// What the plan orders for the movie.
pub(super) struct Order<'a> {
    pub(super) video: &'a VideoOrder,
    pub(super) audio: Option<AudioTrack>,
    /// Where another rendition is cut, and this one must be.
    pub(super) cuts: Option<Cuts>,
}

/// Makes a movie in one file from the pieces that come.
pub(super) fn run(
    job: &Job<'_>,
    (file, container): (&str, Container),
    order: &Order<'_>,
    from: &Inbox,
) -> Result<Made, Failure> {
    let reel = Reel::new(Mux::create(job.scratch, file, container, job.meter.stage())?, None);
    let (made, _) = shoot(job, reel, order, from)?;
    Ok(Made {
        file: file.to_owned(),
        ..made
    })
}

/// Makes a movie from the pieces that come; tells its frames and length, and the renditions where it is one of several.
pub(super) fn shoot(
    job: &Job<'_>,
    reel: Reel,
    order: &Order<'_>,
    from: &Inbox,
) -> Result<(Made, Vec<Rendition>), Failure> {
    let mut movie = Movie::open(job, reel, order, from.meter())?;
    movie.stand_still(job.plan.intro.as_ref())?;
    for piece in from {
        job.check()?;
        match piece {
            Piece::Part(part) => movie.begin(part)?,
            Piece::Picture {
                picture,
                at_us,
                duration_us,
            } => movie.see(picture, at_us, duration_us)?,
            Piece::PicturesEnd { until_us } => movie.see_no_more(until_us)?,
            Piece::Sound { sound, at_us } => movie.hear(sound, at_us)?,
            Piece::Packets(taken) => taken.into_iter().try_for_each(|(packet, _)| movie.take_over(packet))?,
        }
    }
    job.check()?;
    movie.finish()
}

struct Movie<'a> {
    plan: &'a Plan,
    meter: &'a Meter,
    canvas: Canvas<'a>,
    reel: Reel,
    encoder: Encoder,
    cuts: Option<&'a Cuts>,
    track: Option<Soundtrack>,
    /// How loud the spans are made.
    level: Option<Level>,
    /// Sound that is copied instead.
    copied: Option<Sounds>,
    /// Where the span begins on the source's clock, in microseconds.
    start_us: i64,
    /// The part that is being read, and its pictures.
    scene: Option<(Part, Scene<'a>)>,
    /// Pictures given to the encoder.
    frames: u64,
    /// Those of them that are of the source.
    source_frames: u64,
    /// Pictures of the source that none of them shows.
    dropped: Option<DroppedFrames>,
}

impl<'a> Movie<'a> {
    fn open(job: &'a Job<'_>, mut reel: Reel, order: &'a Order<'a>, meter: &'a Meter) -> Result<Self, Failure> {
        let (_, coded, numbers) = job.picture()?;
        let color = color::of_output(&numbers, coded);
        let mut encoder = encode::video(order.video, job.plan.fps, color, job.threads)?;
        encoder.join(reel.pictures())?;
        let (mut track, mut copied) = (None, None);
        match order.audio.zip(job.sound()) {
            Some((AudioTrack::Encode { bitrate_bps, .. }, sound)) => {
                track = Some(Soundtrack::open(sound, bitrate_bps, job.language(), reel.sound())?);
            }
            Some((AudioTrack::Copy { .. }, _)) => {
                let mux = reel.sound();
                let cut = job.originals.cut(mux.hides());
                copied = Some(Sounds::open(job.originals.sound()?, cut, 0, mux)?);
            }
            None => {}
        }
        reel.start()?;
        Ok(Self {
            plan: job.plan,
            meter,
            canvas: Canvas::new(job.plan, order.video, job.images, color, job.threads)?,
            reel,
            encoder,
            cuts: order.cuts.as_ref(),
            track,
            level: job.level,
            copied,
            start_us: job.originals.start_us,
            scene: None,
            frames: 0,
            source_frames: 0,
            dropped: None,
        })
    }

    /// Shows a card that stands still for its frames.
    fn stand_still(&mut self, card: Option<&Card>) -> Result<(), Failure> {
        if let Some((still, frames)) = self.canvas.still(card)? {
            self.encode(still, frames)?;
        }
        Ok(())
    }

    /// Begins a part where the one before it ended.
    fn begin(&mut self, part: Part) -> Result<(), Failure> {
        self.end_part()?;
        if let Some(track) = &mut self.track {
            let level = self.level.filter(|_| part.is_span());
            track.begin(self.plan.fps.duration_us(self.frames), level)?;
        }
        self.scene = Some((part, self.canvas.scene(&part, self.source_frames)?));
        Ok(())
    }

    /// Counts the frames of the part that was read.
    fn end_part(&mut self) -> Result<(), Failure> {
        match self.scene.take() {
            Some((part, scene)) if part.is_span() => {
                let slots = scene.cadence.slots();
                let from_us = self.plan.fps.duration_us(self.frames.saturating_sub(slots));
                self.dropped = DroppedFrames::joined(self.dropped, scene.cadence.dropped(), from_us);
                self.source_frames += slots;
            }
            Some((_, scene)) if scene.cadence.slots() == 0 => return Err(nothing_decoded("the clip of a bumper")),
            _ => {}
        }
        Ok(())
    }

    fn see(&mut self, picture: Shared, at_us: i64, duration_us: i64) -> Result<(), Failure> {
        let Some((part, scene)) = &mut self.scene else {
            return Ok(());
        };
        let out = scene.cadence.push(picture, part.own_us(at_us), duration_us);
        self.show(out)
    }

    fn see_no_more(&mut self, until_us: Option<i64>) -> Result<(), Failure> {
        let out = self.scene.as_mut().and_then(|(part, scene)| {
            let until_us = until_us.map(|us| part.own_us(us));
            scene.cadence.end(until_us)
        });
        self.show(out)
    }

    /// Encodes a picture for each of its slots.
    fn show(&mut self, out: Option<(Shared, Range<u64>)>) -> Result<(), Failure> {
        if let Some((picture, slots)) = out
            && let Some((part, mut scene)) = self.scene.take()
        {
            scene.draw_all(&picture, slots, &mut |drawn, times| self.encode(drawn, times))?;
            self.scene = Some((part, scene));
        }
        self.encode_sound()
    }

    fn encode(&mut self, mut picture: Video, times: u64) -> Result<(), Failure> {
        for _ in 0..times {
            let key = self
                .cuts
                .is_some_and(|cuts| cuts.begin_with(self.frames, self.plan.fps));
            let packets = self
                .encoder
                .picture(&mut picture, self.frames, key, self.reel.pictures())?;
            self.frames += 1;
            self.meter.add_frames(packets);
            self.meter.reached(self.reached_us());
        }
        Ok(())
    }

    fn hear(&mut self, sound: Audio, at_us: i64) -> Result<(), Failure> {
        if let Some((track, (part, _))) = self.track.as_mut().zip(self.scene.as_ref()) {
            track.hear(sound, part.own_us(at_us));
        }
        self.stand_on(at_us)?;
        self.encode_sound()
    }

    /// Shows the picture on that is there while sound goes on far ahead: the next one may come in an hour.
    fn stand_on(&mut self, heard_us: i64) -> Result<(), Failure> {
        let out = self.scene.as_mut().and_then(|(part, scene)| {
            let heard_us = part.own_us(heard_us).saturating_sub(AHEAD_US);
            scene.cadence.stand_until(heard_us)
        });
        if out.is_some() { self.show(out) } else { Ok(()) }
    }

    fn take_over(&mut self, packet: Packet) -> Result<(), Failure> {
        if let Some(copied) = &mut self.copied {
            copied.hear(packet);
        }
        self.encode_sound()
    }

    /// Encodes sound as far as there are pictures above it.
    fn encode_sound(&mut self) -> Result<(), Failure> {
        let zero_us = self.scene.as_ref().and_then(|(_, scene)| scene.cadence.zero_us());
        let reached_us = self.reached_us();
        if let Some(copied) = &mut self.copied {
            copied.release(zero_us.map(|us| us.saturating_add(self.start_us)), self.reel.sound())?;
        }
        let Some(track) = &mut self.track else {
            return Ok(());
        };
        track.release(zero_us)?;
        track.encode_until(reached_us, self.reel.sound())
    }

    /// How long the movie is so far, in microseconds.
    fn reached_us(&self) -> u64 {
        self.plan.fps.duration_us(self.frames)
    }

    fn finish(mut self) -> Result<(Made, Vec<Rendition>), Failure> {
        self.end_part()?;
        if self.source_frames == 0 {
            return Err(nothing_decoded("the pictures"));
        }
        if let Some(track) = &mut self.track {
            track.begin(self.plan.fps.duration_us(self.frames), None)?;
        }
        self.stand_still(self.plan.outro.as_ref())?;
        let packets = self.encoder.finish(self.reel.pictures())?;
        self.meter.add_frames(packets);
        let duration_us = self.reached_us();
        let loudest = match &mut self.track {
            Some(track) => track.finish(duration_us, self.reel.sound())?,
            None => None,
        };
        let made = Made {
            frames: self.frames,
            duration_us,
            loudest,
            lost_sound: self.track.as_ref().and_then(Soundtrack::lost),
            dropped: self.dropped.filter(|_| !self.plan.fps_asked),
            copied: Copied {
                pictures: None,
                sound: self.copied.as_ref().map(Sounds::imprint),
            },
            ..Made::default()
        };
        Ok((made, self.reel.finish()?))
    }
}
