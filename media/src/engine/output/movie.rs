//! Makes a movie: intro, frames at a constant rate, outro, and audio of the same length.

use crate::engine::audio::limiter::Gain;
use crate::engine::context::OutputContext;
use crate::engine::decode::timeline::Part;
use crate::engine::encode::encoder::Encoder;
use crate::engine::encode::video;
use crate::engine::error::nothing_decoded;
use crate::engine::fanout::channel::{Inbox, Piece};
use crate::engine::mux::container::Container;
use crate::engine::mux::muxer::{MovieMuxer, Muxer};
use crate::engine::mux::packet_copy::AudioCopy;
use crate::engine::mux::segment_boundaries::SegmentBoundaries;
use crate::engine::mux::segmenter::Rendition;
use crate::engine::output::movie_audio::MovieAudio;
use crate::engine::progress::OutputProgress;
use crate::engine::video::color;
use crate::engine::video::composer::{Composer, PartComposer};
use crate::engine::video::scaled_frames::SharedFrame;
use domain::plan::{AudioTrack, Card, VideoOrder};
use domain::protocol::{Copied, DroppedFrames, Made};
use domain::{Failure, Plan};
use ffmpeg_next::Packet;
use ffmpeg_next::frame::{Audio, Video};
use std::ops::Range;

/// Sound that is so far ahead of the pictures, in microseconds, no longer waits for the next one: containers keep their
/// streams nearer together.
pub(crate) const AHEAD_US: i64 = 30_000_000;

/// What the plan orders for the movie.
pub(crate) struct MovieSpec<'a> {
    pub(crate) video: &'a VideoOrder,
    pub(crate) audio: Option<AudioTrack>,
    /// Where another rendition is cut, and this one must be.
    pub(crate) cuts: Option<SegmentBoundaries>,
}

/// Makes a movie in one file from the pieces that come.
pub(crate) fn run(
    context: &OutputContext<'_>,
    (file, container): (&str, Container),
    order: &MovieSpec<'_>,
    from: &Inbox,
) -> Result<Made, Failure> {
    let muxer = MovieMuxer::new(
        Muxer::create(context.scratch, file, container, context.meter.stage())?,
        None,
    );
    let (made, _) = encode_movie(context, muxer, order, from)?;
    Ok(Made {
        file: file.to_owned(),
        ..made
    })
}

/// Makes a movie from the pieces that come; tells its frames and length, and the renditions where it is one of several.
pub(crate) fn encode_movie(
    context: &OutputContext<'_>,
    muxer: MovieMuxer,
    order: &MovieSpec<'_>,
    from: &Inbox,
) -> Result<(Made, Vec<Rendition>), Failure> {
    let mut movie = Movie::open(context, muxer, order, from.meter())?;
    movie.show_still(context.plan.intro.as_ref())?;
    for piece in from {
        context.check()?;
        match piece {
            Piece::Part(part) => movie.begin(part)?,
            Piece::Frame {
                frame,
                at_us,
                duration_us,
            } => movie.push_frame(frame, at_us, duration_us)?,
            Piece::VideoEnd { until_us } => movie.end_video(until_us)?,
            Piece::Audio { audio, at_us } => movie.push_audio(audio, at_us)?,
            Piece::Packets(taken) => taken
                .into_iter()
                .try_for_each(|(packet, _)| movie.push_packet(packet))?,
        }
    }
    context.check()?;
    movie.finish()
}

struct Movie<'a> {
    plan: &'a Plan,
    meter: &'a OutputProgress,
    composer: Composer<'a>,
    muxer: MovieMuxer,
    encoder: Encoder,
    cuts: Option<&'a SegmentBoundaries>,
    track: Option<MovieAudio>,
    /// How loud the spans are made.
    level: Option<Gain>,
    /// Sound that is copied instead.
    copied: Option<AudioCopy>,
    /// Where the span begins on the source's clock, in microseconds.
    start_us: i64,
    /// The part that is being read, and its pictures.
    part_composer: Option<(Part, PartComposer<'a>)>,
    /// Pictures given to the encoder.
    frames: u64,
    /// Those of them that are of the source.
    source_frames: u64,
    /// Pictures of the source that none of them shows.
    dropped: Option<DroppedFrames>,
}

impl<'a> Movie<'a> {
    fn open(
        context: &'a OutputContext<'_>,
        mut muxer: MovieMuxer,
        order: &'a MovieSpec<'a>,
        meter: &'a OutputProgress,
    ) -> Result<Self, Failure> {
        let (_, coded, numbers) = context.video()?;
        let color = color::of_output(&numbers, coded);
        let mut encoder = video::open_video(order.video, context.plan.fps, color, context.threads)?;
        encoder.join(muxer.video())?;
        let (mut track, mut copied) = (None, None);
        match order.audio.zip(context.audio()) {
            Some((AudioTrack::Encode { bitrate_bps, .. }, audio)) => {
                track = Some(MovieAudio::open(audio, bitrate_bps, context.language(), muxer.audio())?);
            }
            Some((AudioTrack::Copy { .. }, _)) => {
                let muxer = muxer.audio();
                let cut = context.copy_source.cut(muxer.hides());
                copied = Some(AudioCopy::open(context.copy_source.audio()?, cut, 0, muxer)?);
            }
            None => {}
        }
        muxer.start()?;
        Ok(Self {
            plan: context.plan,
            meter,
            composer: Composer::new(context.plan, order.video, context.images, color, context.threads)?,
            muxer,
            encoder,
            cuts: order.cuts.as_ref(),
            track,
            level: context.level,
            copied,
            start_us: context.copy_source.start_us,
            part_composer: None,
            frames: 0,
            source_frames: 0,
            dropped: None,
        })
    }

    /// Shows a card that stands still for its frames.
    fn show_still(&mut self, card: Option<&Card>) -> Result<(), Failure> {
        if let Some((still, frames)) = self.composer.still(card)? {
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
        self.part_composer = Some((part, self.composer.part_composer(&part, self.source_frames)?));
        Ok(())
    }

    /// Counts the frames of the part that was read.
    fn end_part(&mut self) -> Result<(), Failure> {
        match self.part_composer.take() {
            Some((part, part_composer)) if part.is_span() => {
                let slots = part_composer.constant_rate.slots();
                let from_us = self.plan.fps.duration_us(self.frames.saturating_sub(slots));
                self.dropped = DroppedFrames::joined(self.dropped, part_composer.constant_rate.dropped(), from_us);
                self.source_frames += slots;
            }
            Some((_, part_composer)) if part_composer.constant_rate.slots() == 0 => {
                return Err(nothing_decoded("the clip of a bumper"));
            }
            _ => {}
        }
        Ok(())
    }

    fn push_frame(&mut self, frame: SharedFrame, at_us: i64, duration_us: i64) -> Result<(), Failure> {
        let Some((part, part_composer)) = &mut self.part_composer else {
            return Ok(());
        };
        let out = part_composer.constant_rate.push(frame, part.own_us(at_us), duration_us);
        self.show(out)
    }

    fn end_video(&mut self, until_us: Option<i64>) -> Result<(), Failure> {
        let out = self.part_composer.as_mut().and_then(|(part, part_composer)| {
            let until_us = until_us.map(|us| part.own_us(us));
            part_composer.constant_rate.end(until_us)
        });
        self.show(out)
    }

    /// Encodes a picture for each of its slots.
    fn show(&mut self, out: Option<(SharedFrame, Range<u64>)>) -> Result<(), Failure> {
        if let Some((frame, slots)) = out
            && let Some((part, mut part_composer)) = self.part_composer.take()
        {
            part_composer.draw_all(&frame, slots, &mut |drawn, times| self.encode(drawn, times))?;
            self.part_composer = Some((part, part_composer));
        }
        self.encode_audio()
    }

    fn encode(&mut self, mut frame: Video, times: u64) -> Result<(), Failure> {
        for _ in 0..times {
            let key = self
                .cuts
                .is_some_and(|cuts| cuts.begin_with(self.frames, self.plan.fps));
            let packets = self
                .encoder
                .encode_frame(&mut frame, self.frames, key, self.muxer.video())?;
            self.frames += 1;
            self.meter.add_frames(packets);
            self.meter.reached(self.reached_us());
        }
        Ok(())
    }

    fn push_audio(&mut self, audio: Audio, at_us: i64) -> Result<(), Failure> {
        if let Some((track, (part, _))) = self.track.as_mut().zip(self.part_composer.as_ref()) {
            track.push(audio, part.own_us(at_us));
        }
        self.repeat_frame(at_us)?;
        self.encode_audio()
    }

    /// Shows the picture on that is there while sound goes on far ahead: the next one may come in an hour.
    fn repeat_frame(&mut self, heard_us: i64) -> Result<(), Failure> {
        let out = self.part_composer.as_mut().and_then(|(part, part_composer)| {
            let heard_us = part.own_us(heard_us).saturating_sub(AHEAD_US);
            part_composer.constant_rate.stand_until(heard_us)
        });
        if out.is_some() { self.show(out) } else { Ok(()) }
    }

    fn push_packet(&mut self, packet: Packet) -> Result<(), Failure> {
        if let Some(copied) = &mut self.copied {
            copied.push(packet);
        }
        self.encode_audio()
    }

    /// Encodes sound as far as there are pictures above it.
    fn encode_audio(&mut self) -> Result<(), Failure> {
        let zero_us = self
            .part_composer
            .as_ref()
            .and_then(|(_, part_composer)| part_composer.constant_rate.zero_us());
        let reached_us = self.reached_us();
        if let Some(copied) = &mut self.copied {
            copied.release(zero_us.map(|us| us.saturating_add(self.start_us)), self.muxer.audio())?;
        }
        let Some(track) = &mut self.track else {
            return Ok(());
        };
        track.release(zero_us)?;
        track.encode_until(reached_us, self.muxer.audio())
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
        self.show_still(self.plan.outro.as_ref())?;
        let packets = self.encoder.finish(self.muxer.video())?;
        self.meter.add_frames(packets);
        let duration_us = self.reached_us();
        let loudest = match &mut self.track {
            Some(track) => track.finish(duration_us, self.muxer.audio())?,
            None => None,
        };
        let made = Made {
            frames: self.frames,
            duration_us,
            loudest,
            lost_sound: self.track.as_ref().and_then(MovieAudio::lost),
            dropped: self.dropped.filter(|_| !self.plan.fps_asked),
            copied: Copied {
                pictures: None,
                sound: self.copied.as_ref().map(AudioCopy::digest),
            },
            ..Made::default()
        };
        Ok((made, self.muxer.finish()?))
    }
}
