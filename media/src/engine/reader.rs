//! Reads a part of a source once, from its start to its end, and gives away decoded pictures and samples.

mod before;
mod early;
mod skim;
mod sound;
mod watch;

pub(super) use skim::Moment;

use super::clock::{self, Clock};
use super::facts::origin_us;
use super::holes::{self, GapDetector};
use super::losses::Losses;
use super::measure::MAX_READ_ERRORS;
use super::originals::{Medium, Original, Originals};
use super::parts::Part;
use super::sink::Sink;
use super::track::Track;
use super::weave::Weave;
use super::{Cancel, av, fault, input};
use before::Before;
use domain::Failure;
use early::Early;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Error, Packet};
use skim::Skim;
use std::fs::File;

/// Sound that goes on for less than this after the pictures ends with them, in microseconds: packets of sound are not cut
/// to the frame.
const TOGETHER_US: i64 = 50_000;

/// Why no picture follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The span is over; the source has more.
    Span,
    /// The source has no more.
    Source,
}

/// A source being read.
pub(super) struct Reader {
    input: Input,
    video: Option<Track>,
    audio: Option<Track>,
    weave: Option<Weave>,
    clock: Clock,
    /// Whether the clock jumps, so that no moment can be looked up.
    jumps: bool,
    /// The moment that counts as 0, start and end of the span, on the source's own clock.
    origin_us: i64,
    start_us: i64,
    end_us: Option<i64>,
    /// For so long after it sound is still wanted.
    overhang_us: i64,
    /// Length of the span as the probe found it; 0 when it did not.
    promised_us: i64,
    /// Which pictures are wanted, when not all are.
    skim: Option<Skim>,
    /// Packets of sound that stand far ahead of their pictures.
    early: Early,
    before: Option<Before>,
    /// Detects lost packets by gaps in the timestamps.
    watch: GapDetector,
    /// Packets and pictures that did not decode so far.
    broken: u32,
}

impl Reader {
    /// Opens the streams of a part.
    ///
    /// # Errors
    /// When the source cannot be opened, or a decoder of the plan cannot.
    pub(super) fn open(source: &File, part: &Part, threads: u32, cancel: &Cancel) -> Result<Self, Failure> {
        let mut input = input::open_source(source, cancel)?;
        let (picture, span) = (part.video.map(|video| video.stream), part.span);
        let origin = part.origin_us.unwrap_or_else(|| origin_us(&input, picture));
        let watched = holes::watched(&input, (picture, part.audio_stream));
        let used: Vec<usize> = watched.into_iter().flatten().collect();
        av::packets::keep_only(&mut input, &used);
        let start_us = origin.saturating_add(signed(span.start.us()));
        let end_us = span.end.map(|end| origin.saturating_add(signed(end.us())));
        let track = |index: Option<usize>| index.map(|index| Track::open(&input, index, threads)).transpose();
        let (mut video, mut audio) = (track(picture)?, track(part.audio_stream)?);
        for track in [&mut video, &mut audio].into_iter().flatten() {
            track.wanted_us = start_us;
        }
        let streams = usize::try_from(input.nb_streams()).unwrap_or(0);
        Ok(Self {
            clock: Clock::new(clock::may_jump(&input), streams),
            jumps: part.jumps,
            origin_us: origin,
            video,
            audio,
            weave: part
                .video
                .filter(|video| video.deinterlace)
                .map(|_| Weave::new(threads)),
            start_us,
            end_us,
            overhang_us: signed(part.overhang_us),
            promised_us: signed(part.length_us),
            skim: None,
            early: Early::default(),
            before: None,
            watch: GapDetector::new((&input, source), watched, start_us..end_us.unwrap_or(i64::MAX)),
            broken: 0,
            input,
        })
    }

    /// The picture stream's decoder and facts, and those of the sound.
    pub(super) const fn tracks(&self) -> (Option<&Track>, Option<&Track>) {
        (self.video.as_ref(), self.audio.as_ref())
    }

    /// Decodes only what these moments need.
    pub(super) fn want_only(&mut self, moments: Vec<Moment>) {
        let tracks = [&self.video, &self.audio].into_iter().flatten();
        let used: Vec<_> = tracks.map(|track| track.index).collect();
        av::packets::keep_only(&mut self.input, &used);
        self.skim = Some(Skim::new(moments));
    }

    /// The streams as the source has them, for outputs that copy.
    pub(super) fn originals(&self) -> Originals {
        let index = |track: &Option<Track>| track.as_ref().map(|track| track.index);
        Originals {
            pictures: index(&self.video).and_then(|index| Original::of(&self.input, index)),
            sound: index(&self.audio).and_then(|index| Original::of(&self.input, index)),
            origin_us: self.origin_us,
            start_us: self.start_us,
            end_us: self.end_us,
        }
    }

    /// Goes to a keyframe at or before `us` after the start of the span.
    ///
    /// # Errors
    /// When the work is canceled, or the source cannot be read.
    pub(super) fn seek(&mut self, us: i64, cancel: &Cancel) -> Result<(), Failure> {
        if self.jumps {
            return Ok(());
        }
        let target = self.start_us.saturating_add(us);
        if let Some(track) = &mut self.video {
            track.from_the_start &= target <= track.origin_us;
        }
        super::seek::to(&mut self.input, self.video.as_ref(), target, cancel)?;
        self.clock.restart();
        Ok(())
    }

    /// Reads and decodes everything between here and the end of the span.
    ///
    /// # Errors
    /// What the sink says, or [`domain::Code::Unavailable`] when the work is canceled. Damage is no error here.
    pub(super) fn run(&mut self, sink: &mut dyn Sink, cancel: &Cancel) -> Result<Losses, Failure> {
        let (mut errors, mut wanted) = (0, sink.goes_on());
        while errors < MAX_READ_ERRORS && wanted && !self.is_done() {
            cancel.check()?;
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) => {
                    errors = 0;
                    self.take(packet, sink)?;
                }
                Err(Error::Eof) => break,
                Err(_) => errors += 1,
            }
            wanted = sink.goes_on();
        }
        cancel.check()?;
        self.end_sound(sink)?;
        self.end_pictures(Ending::Source, sink)?;
        let tracks: Vec<_> = [&self.video, &self.audio].into_iter().flatten().collect();
        // Who stops early has no complaint about the rest.
        let span_us = if wanted { self.promised_us } else { 0 };
        let losses = Losses::of(&tracks, (self.origin_us, self.start_us), span_us);
        self.look_for_damage();
        Ok(losses.with_holes(self.watch.finish(), self.origin_us))
    }

    /// Whether every stream has passed the end of the span.
    fn is_done(&self) -> bool {
        let ended = |track: &Option<Track>| track.as_ref().is_none_or(|track| track.ended);
        ended(&self.video) && ended(&self.audio)
    }

    fn take(&mut self, mut packet: Packet, sink: &mut dyn Sink) -> Result<(), Failure> {
        let heard_until = self.heard_until();
        let index = packet.stream();
        self.watch(&mut packet);
        let is = |track: &&mut Track| track.index == index;
        if let Some(track) = self.video.as_mut().filter(is) {
            track.note(&packet);
            track.look_at_headers(&packet);
            sink.packet(&packet, Medium::Pictures)?;
            if track.ended {
                return if track.is_far_past(&packet, self.end_us) {
                    self.end_sound(sink)
                } else {
                    Ok(())
                };
            }
            if track.ends_with(&packet, self.end_us) {
                return self.end_pictures(Ending::Span, sink);
            }
            if self.skim.is_some() {
                return self.skim(packet, sink);
            }
            if sink.decodes(Medium::Pictures) {
                track.send(Some(&packet));
                self.pictures(sink)?;
                self.hear_early(sink)
            } else {
                track.look_at(&packet);
                track.pass(&packet, self.start_us);
                Ok(())
            }
        } else if let Some(track) = self.audio.as_mut().filter(is) {
            track.note(&packet);
            track.look_at_headers(&packet);
            sink.packet(&packet, Medium::Sound)?;
            if track.ended {
                return if track.is_far_past(&packet, self.end_us) {
                    self.end_pictures(Ending::Span, sink)
                } else {
                    Ok(())
                };
            }
            if track.ends_with(&packet, heard_until) {
                return self.end_sound(sink);
            }
            if sink.decodes(Medium::Sound) {
                if sink.decodes(Medium::Pictures) && self.is_early(&packet) {
                    self.early.push(packet);
                    return Ok(());
                }
                self.hear(&packet, sink)
            } else {
                track.look_at(&packet);
                track.pass(&packet, self.start_us);
                Ok(())
            }
        } else {
            Ok(())
        }
    }

    /// Takes all pictures that the decoder has ready.
    fn pictures(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        while let Some(track) = &mut self.video
            && !track.ended
        {
            let mut picture = Video::empty();
            if !track.receive(&mut picture)? {
                break;
            }
            track.apply_container_facts(&mut picture);
            track.look_through(&picture);
            let (at, duration) = track.time(&picture);
            match &mut self.weave {
                Some(weave) => {
                    let ready = weave.push(picture, at)?;
                    self.give_all(ready, sink)?;
                }
                None => self.give(picture, at, duration, sink)?,
            }
        }
        Ok(())
    }

    /// Gives away what the deinterlacer has ready.
    fn give_all(&mut self, ready: Vec<(Video, i64)>, sink: &mut dyn Sink) -> Result<(), Failure> {
        let duration = self.video.as_ref().map_or(0, |track| track.interval_us);
        ready
            .into_iter()
            .try_for_each(|(picture, at)| self.give(picture, at, duration, sink))
    }

    /// Gives a picture away if it belongs to the span.
    fn give(&mut self, picture: Video, at: i64, duration: i64, sink: &mut dyn Sink) -> Result<(), Failure> {
        if let Some(skim) = &mut self.skim {
            skim.shown_us = at;
        }
        if at < self.start_us {
            let left_us = at.saturating_add(duration).saturating_sub(self.start_us);
            let picture_is_key = picture.is_key();
            self.before = Some(Before { picture, left_us });
            if let Some(track) = self.video.as_mut().filter(|_| self.skim.is_none()) {
                track.begins_before_the_span();
                if picture_is_key {
                    track.begins_anew(at);
                }
            }
            return Ok(());
        }
        let at_us = at - self.start_us;
        if let Some(track) = self
            .video
            .as_mut()
            .filter(|_| self.before.is_none() && self.skim.is_none())
        {
            track.begins_at(at);
        }
        self.give_before(at_us, sink)?;
        let behind = self.end_us.is_some_and(|end| at >= end);
        if let Some(track) = self.video.as_mut().filter(|track| !track.ended)
            && track.ends_after(behind)
        {
            track.ended = true;
            sink.pictures_end(None)?;
        }
        if behind {
            return Ok(());
        }
        if let Some(track) = &mut self.video {
            track.reached_us = track.reached_us.max(at_us.saturating_add(duration));
        }
        sink.picture(picture, at_us, duration)
    }

    fn end_pictures(&mut self, ending: Ending, sink: &mut dyn Sink) -> Result<(), Failure> {
        if self.video.as_ref().is_some_and(|track| !track.ended) {
            self.end_skim(sink)?;
        }
        if let Some(track) = self.video.as_mut().filter(|track| !track.ended) {
            track.send(None);
            self.pictures(sink)?;
            let ready = self.weave.as_mut().map_or(Ok(Vec::new()), Weave::finish)?;
            self.give_all(ready, sink)?;
        }
        if self.video.as_ref().is_some_and(|track| !track.ended) {
            let until_us = self.stands_until(ending);
            self.give_only(until_us, sink)?;
            if let Some(track) = &mut self.video {
                track.ended = true;
                track.reached_us = track.reached_us.max(until_us.unwrap_or(0));
            }
            sink.pictures_end(until_us)?;
        }
        Ok(())
    }

    /// Until when the last picture stands, counted from the start of the span: as long as the file says, and as long as
    /// there is sound. `None` is the end of the span.
    fn stands_until(&self, ending: Ending) -> Option<i64> {
        let track = self.video.as_ref().filter(|_| ending == Ending::Source)?;
        let own_us = match track.end_by_index(&self.input) {
            Some(end_us) => end_us.saturating_sub(self.start_us),
            None => match &self.before {
                Some(before) => before.left_us,
                None => track.reached_us,
            },
        };
        let sound_us = self.audio.as_ref().map_or(0, |track| {
            // The last packet is longer than the sound that its container tells of.
            let told = track.end_by_index(&self.input);
            let told_us = told.map_or(i64::MAX, |end_us| end_us.saturating_sub(self.start_us));
            track.reached_us.min(told_us)
        });
        let until_us = if sound_us > own_us.saturating_add(TOGETHER_US) {
            sound_us
        } else {
            own_us
        };
        let span_us = self.end_us.map_or(i64::MAX, |end| end.saturating_sub(self.start_us));
        Some(until_us.min(span_us))
    }

    /// Where sound is no longer wanted.
    fn heard_until(&self) -> Option<i64> {
        self.end_us.map(|end| end.saturating_add(self.overhang_us))
    }
}

/// Microseconds of a plan as signed ones; plans end long before the range does.
fn signed(us: u64) -> i64 {
    i64::try_from(us).unwrap_or(i64::MAX)
}

/// The failure of a source from which nothing of a kind could be decoded.
pub(super) fn nothing_decoded(what: &str) -> Failure {
    fault::reading(what, Error::InvalidData)
}
