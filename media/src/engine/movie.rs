//! Makes one MP4: bumper, pictures at a constant rate, bumper; and under it sound of the same length.

use super::cadence::Cadence;
use super::encode::{self, Encoder};
use super::feed::Piece;
use super::graph::{Beside, Graph, frame_base};
use super::mux::{Container, Mux};
use super::picture::{self, Finish, MARK};
use super::progress::Meter;
use super::reader::nothing_decoded;
use super::soundtrack::Soundtrack;
use super::transcode::{Job, unsupported};
use super::{av, color, fault, still};
use domain::plan::{AudioTrack, Card, SourceVideo, VideoOrder};
use domain::protocol::Made;
use domain::{Failure, Plan};
use ffmpeg_next::frame::{Audio, Video};
use std::ops::Range;
use std::sync::mpsc::Receiver;

/// What the plan orders for the movie.
pub(super) struct Order<'a> {
    pub(super) video: &'a VideoOrder,
    pub(super) audio: Option<AudioTrack>,
}

/// Makes the movie from the pieces that come.
pub(super) fn run(job: &Job<'_>, file: &str, order: &Order<'_>, from: &Receiver<Piece>) -> Result<Made, Failure> {
    let mut movie = Movie::open(job, file, order)?;
    movie.intro()?;
    for piece in from {
        job.check()?;
        match piece {
            Piece::Picture {
                picture,
                at_us,
                duration_us,
            } => {
                let out = movie.cadence.push(picture, at_us, duration_us);
                movie.show(out)?;
            }
            Piece::PicturesEnd { goes_on } => {
                let out = movie.cadence.end(goes_on);
                movie.show(out)?;
            }
            Piece::Sound { sound, at_us } => movie.hear(sound, at_us)?,
        }
    }
    job.check()?;
    movie.finish(file)
}

/// The bit rate of sound that is encoded.
fn bitrate_of(audio: Option<AudioTrack>) -> Result<Option<u32>, Failure> {
    match audio {
        None => Ok(None),
        Some(AudioTrack::Encode { bitrate_bps, .. }) => Ok(Some(bitrate_bps)),
        Some(AudioTrack::Copy { .. }) => Err(unsupported("copied sound")),
    }
}

struct Movie<'a> {
    order: &'a Order<'a>,
    plan: &'a Plan,
    source: SourceVideo,
    threads: u32,
    meter: &'a Meter,
    mux: Mux,
    encoder: Encoder,
    cadence: Cadence<Video>,
    graph: Option<Graph>,
    /// The image of the overlay.
    mark: Option<Video>,
    /// The stills before and after.
    intro: Option<Video>,
    outro: Option<Video>,
    /// Pictures given to the encoder.
    frames: u64,
    track: Option<Soundtrack>,
}

impl<'a> Movie<'a> {
    fn open(job: &'a Job<'_>, file: &str, order: &'a Order<'a>) -> Result<Self, Failure> {
        let (source, coded, numbers) = job.picture()?;
        let picture = &order.video.picture;
        let fps = job.plan.fps;
        let color = color::of_output(&numbers, coded);
        let mut mux = Mux::create(job.scratch, file, Container::Mp4)?;
        let mut encoder = encode::h264(order.video, fps, color, job.threads)?;
        encoder.join(&mut mux)?;
        let intro_us = fps.duration_us(job.plan.intro.as_ref().map_or(0, Card::frames));
        let track = bitrate_of(order.audio)?.zip(job.sound());
        let track = track.map(|(bitrate, sound)| Soundtrack::open(sound, bitrate, intro_us, &mut mux));
        let track = track.transpose()?;
        mux.start()?;
        let limit = job.end_is_known().then(|| fps.frames_in(job.plan.span_us).max(1));
        let overlay = picture.overlay.as_ref();
        let card = |card: &Option<Card>| match card {
            None => Ok(None),
            Some(Card::Still { image, .. }) => still::bumper(image, job.images, picture.canvas, color.matrix).map(Some),
            Some(Card::Clip { .. }) => Err(unsupported("clips as bumpers")),
        };
        Ok(Self {
            order,
            plan: job.plan,
            source,
            threads: job.threads,
            meter: job.meter,
            mux,
            encoder,
            cadence: Cadence::new(fps, limit, job.plan.span_us),
            graph: None,
            mark: overlay
                .map(|overlay| still::mark(overlay, job.images, color.matrix))
                .transpose()?,
            intro: card(&job.plan.intro)?,
            outro: card(&job.plan.outro)?,
            frames: 0,
            track,
        })
    }

    fn intro(&mut self) -> Result<(), Failure> {
        let intro = self.intro.take();
        self.stand_still(intro, self.plan.intro.as_ref())?;
        self.encode_sound()
    }

    /// Shows a still for its frames.
    fn stand_still(&mut self, still: Option<Video>, card: Option<&Card>) -> Result<(), Failure> {
        if let Some(mut still) = still {
            for _ in 0..card.map_or(0, Card::frames) {
                self.encode(&mut still)?;
            }
        }
        Ok(())
    }

    /// Encodes a picture for each of its slots.
    fn show(&mut self, out: Option<(Video, Range<u64>)>) -> Result<(), Failure> {
        if let Some((picture, slots)) = out {
            // A picture that lasts over the beginning of an overlay must be drawn anew for every slot.
            let changes = self
                .order
                .video
                .picture
                .overlay
                .as_ref()
                .is_some_and(|overlay| overlay.span.end.is_some() || overlay.span.start.us() > 0);
            if changes {
                for slot in slots {
                    let twin = av::share_picture(&picture).map_err(|error| fault::engine("picture", error))?;
                    let mut drawn = self.draw(twin, slot)?;
                    self.encode(&mut drawn)?;
                }
            } else {
                let mut drawn = self.draw(picture, slots.start)?;
                for _ in slots {
                    self.encode(&mut drawn)?;
                }
            }
        }
        self.encode_sound()
    }

    /// Brings a picture onto the canvas.
    fn draw(&mut self, mut picture: Video, slot: u64) -> Result<Video, Failure> {
        if !self.graph.as_ref().is_some_and(|graph| graph.fits(&picture)) {
            let shape = av::shape(&picture);
            let size = self.mark.as_ref().map(|mark| still::size_of(&av::shape(mark)));
            let description =
                picture::description(&shape, &self.source, &self.order.video.picture, Finish::Movie, size);
            let beside: Vec<_> = self.mark.iter().map(|picture| Beside { name: MARK, picture }).collect();
            self.graph = Some(Graph::new(
                shape,
                frame_base(self.plan.fps),
                &description,
                &beside,
                self.threads,
            )?);
        }
        let graph = self.graph.as_mut().ok_or_else(|| fault::missing("the graph"))?;
        picture.set_pts(i64::try_from(slot).ok());
        graph.push(&picture)?;
        graph
            .pull()?
            .ok_or_else(|| fault::engine("filter", ffmpeg_next::Error::Bug))
    }

    fn encode(&mut self, picture: &mut Video) -> Result<(), Failure> {
        let packets = self.encoder.picture(picture, self.frames, &mut self.mux)?;
        self.frames += 1;
        self.meter.add_frames(packets);
        self.meter.reached(self.reached_us());
        Ok(())
    }

    fn hear(&mut self, sound: Audio, at_us: i64) -> Result<(), Failure> {
        if let Some(track) = &mut self.track {
            track.hear(sound, at_us);
        }
        self.encode_sound()
    }

    /// Encodes sound as far as there are pictures above it.
    fn encode_sound(&mut self) -> Result<(), Failure> {
        let (zero_us, reached_us) = (self.cadence.zero_us(), self.reached_us());
        let Some(track) = &mut self.track else {
            return Ok(());
        };
        track.release(zero_us)?;
        track.encode_until(reached_us, &mut self.mux)
    }

    /// How long the movie is so far, in microseconds.
    fn reached_us(&self) -> u64 {
        self.plan.fps.duration_us(self.frames)
    }

    fn finish(mut self, file: &str) -> Result<Made, Failure> {
        if self.cadence.slots() == 0 {
            return Err(nothing_decoded("the pictures"));
        }
        let main_end_us = self.reached_us();
        let outro = self.outro.take();
        self.stand_still(outro, self.plan.outro.as_ref())?;
        let packets = self.encoder.finish(&mut self.mux)?;
        self.meter.add_frames(packets);
        let duration_us = self.reached_us();
        if let Some(track) = &mut self.track {
            track.finish(main_end_us, duration_us, &mut self.mux)?;
        }
        self.mux.finish()?;
        Ok(Made {
            file: file.to_owned(),
            frames: self.frames,
            duration_us,
            packets_from_us: None,
        })
    }
}
